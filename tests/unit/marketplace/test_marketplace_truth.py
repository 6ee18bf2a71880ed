"""What attribution must say follows from ledger and windows, and what it says otherwise is counted as wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from iterqr_benchmarks.marketplace.audit import audit
from iterqr_benchmarks.marketplace.channel_windows import WindowAsked
from iterqr_benchmarks.marketplace.ledger import SCHEMAS, Ledger, Table
from iterqr_benchmarks.marketplace.rewrite_truth import (
    label_truth,
    reformulation_relevance,
    rewrite_relevance,
    rewrite_truth,
)
from iterqr_benchmarks.marketplace.settings import AdversitySettings, TrafficSettings
from iterqr_benchmarks.marketplace.traffic import run_traffic
from iterqr_benchmarks.marketplace.truth import (
    CreditRow,
    CreditScore,
    LoggedSearch,
    TrueEvent,
    TruthReport,
    compare_with_truth,
    credited_rows,
    expected_rows,
    logged_searches,
    true_events,
)
from iterqr_training.signals.tables import ATTRIBUTED_EVENTS, HIT_CHANNELS, IMPRESSIONS, REWRITES
from support.scripted_market import ScriptedNode, small_market

SEARCH = LoggedSearch("q", "north", "pad tai", True, 3, (("r1", "pad thai"), ("r2", "thai noodles")))
WINDOWS = {
    WindowAsked("north", "pad tai", 3): ("a", "b", "c"),
    WindowAsked("north", "pad thai", 3): ("d", "b", "e"),
    WindowAsked("north", "thai noodles", 3): ("f", "g", "d"),
}
CLICK = TrueEvent("e", "click", "q", "d", 2, frozenset())
THIRD, REST = 250_000_000, 750_000_000


def rows(object_id: str, search: LoggedSearch = SEARCH) -> list[tuple[int, str, int]]:
    found = expected_rows(replace(CLICK, object_id=object_id), search, WINDOWS)
    return [(row.level, row.rewrite_id, row.share_ppb) for row in found]


def test_credit_follows_from_what_each_channel_retrieves() -> None:
    assert rows("a") == [(0, "", 10**9)]
    assert rows("b") == [(2, "r1", 10**9)]
    assert rows("d") == [(1, "r1", REST), (1, "r2", THIRD)]
    assert rows("nowhere") == []


def test_what_was_not_in_the_page_is_not_asked_for() -> None:
    plain = replace(SEARCH, rewritten=False)
    assert set(plain.windows_asked()) == {""}
    assert rows("b", plain) == [(0, "", 10**9)]
    assert rows("d", plain) == []


def compared(credited: Sequence[CreditRow], *events: TrueEvent) -> TruthReport:
    return compare_with_truth(events or (CLICK,), {"q": SEARCH}, WINDOWS, credited)


def clicks(report: TruthReport, touched: str = "") -> CreditScore:
    return next(each for each in report.scores if (each.kind, each.touched) == ("click", touched))


def test_what_is_right_is_exact_whatever_the_rounding() -> None:
    right = expected_rows(CLICK, SEARCH, WINDOWS)
    report = compared([replace(right[0], share_ppb=right[0].share_ppb + 3), right[1]])
    assert report.exact
    assert (clicks(report).precision, clicks(report).recall) == (1.0, 1.0)
    assert clicks(report) == replace(clicks(report, "untouched"), touched="")
    assert report.levels == {"click level 1": 1}
    assert report.wrong == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"rewrite_id": "r2"},
        {"share_ppb": REST + 1_000},
        {"level": 2},
        {"position": 3},
        {"query_id": "other"},
        {"object_id": "f"},
    ],
)
def test_what_differs_in_anything_is_wrong(wrong: dict[str, object]) -> None:
    right = expected_rows(CLICK, SEARCH, WINDOWS)
    report = compared([replace(right[0], **wrong), right[1]])  # type: ignore[arg-type]
    assert (clicks(report).expected, clicks(report).credited, clicks(report).right) == (2, 2, 1)
    assert not report.exact
    assert len(report.wrong) == 2


def test_what_is_credited_twice_or_not_at_all_is_wrong() -> None:
    right = expected_rows(CLICK, SEARCH, WINDOWS)
    twice = clicks(compared([*right, right[0]]))
    assert (twice.precision, twice.recall) == (2 / 3, 1.0)
    never = clicks(compared([]))
    assert (never.precision, never.recall) == (1.0, 0.0)


def test_bots_earn_nobody_anything() -> None:
    bot = replace(CLICK, event_id="bot", touched=frozenset({"bots"}))
    right = expected_rows(CLICK, SEARCH, WINDOWS)
    assert compared(right, CLICK, bot).exact
    caught_out = compared([*right, *expected_rows(bot, SEARCH, WINDOWS)], CLICK, bot)
    assert clicks(caught_out).precision == 0.5
    assert clicks(caught_out, "bots") == CreditScore("click", "bots", 1, 0, 2, 0)


def test_a_hit_that_no_channel_retrieves_is_told() -> None:
    report = compared([], replace(CLICK, object_id="nowhere"))
    assert report.unexplained == 1
    assert not report.exact


def test_ledger_and_logs_are_read(tmp_path: Path) -> None:
    traffic = TrafficSettings(
        users=8, searches=40, days=1, seed=2, adversity=AdversitySettings(bots=0.3, duplicates=0.5)
    )
    run_traffic(ScriptedNode(small_market()), small_market(), traffic, tmp_path)
    ledger = Ledger(tmp_path)
    events = true_events(ledger)
    assert {each.kind for each in events} == {"click", "order"}
    assert {name for each in events for name in each.touched} == {"bots", "duplicates"}
    searched = ledger.read("searches").to_pylist()
    query_id = searched[0]["query_id"]
    page = {"impression_id": "i", "query_id": query_id, "window_size": 50}
    rewrite = {"impression_id": "i", "rewrite_id": "r", "text": "pad thai"}
    searches = logged_searches(
        ledger,
        pa.Table.from_pylist([page, {"impression_id": "x", "query_id": "of another"}], IMPRESSIONS.schema),
        pa.Table.from_pylist([rewrite], REWRITES.schema),
    )
    text, region = searched[0]["text"], searched[0]["region"]
    assert searches == {query_id: LoggedSearch(query_id, region, text, True, 50, (("r", "pad thai"),))}


def test_a_rewrite_is_good_if_a_new_result_of_it_satisfied(tmp_path: Path) -> None:
    run_traffic(ScriptedNode(small_market()), small_market(), TrafficSettings(users=3, searches=20, days=1), tmp_path)
    ledger = Ledger(tmp_path)
    shown = ledger.read("shown").to_pylist()
    good = next(row for row in shown if row["satisfies"])
    bad = next(row for row in shown if not row["satisfies"])
    pages = [
        {"impression_id": name, "query_id": row["query_id"], "normalized_query": name}
        for name, row in (("good", good), ("bad", bad), ("old", good))
    ]
    rewrites = [
        {"impression_id": each["impression_id"], "rewrite_id": name, "text": f"text {name}"}
        for each in pages
        for name in ("r1", "r2")
    ]
    channels = [
        {
            "impression_id": name,
            "shown": is_shown,
            "position": row["position"],
            "channel": channel,
            "rewrite_id": rewrite,
        }
        for name, row, is_shown, channel, rewrite in (
            ("good", good, True, "rewrite", "r1"),
            ("bad", bad, True, "rewrite", "r1"),
            ("good", good, False, "rewrite", "r2"),
            ("old", good, True, "rewrite", "r1"),
            ("old", good, True, "original", ""),
            ("of another run", good, True, "rewrite", "r1"),
        )
    ]
    known = rewrite_truth(
        ledger,
        pa.Table.from_pylist(pages, IMPRESSIONS.schema),
        pa.Table.from_pylist(rewrites, REWRITES.schema),
        pa.Table.from_pylist(channels, HIT_CHANNELS.schema),
    )
    assert known.to_pylist() == [
        {"normalized_query": "good", "rewrite_text": "text r1", "good": True},
        {"normalized_query": "bad", "rewrite_text": "text r1", "good": False},
    ]


def test_a_rewrite_is_relevant_if_enough_of_what_it_retrieves_satisfies(tmp_path: Path) -> None:
    run_traffic(ScriptedNode(small_market()), small_market(), TrafficSettings(users=3, searches=40, days=1), tmp_path)
    shown = Ledger(tmp_path).read("shown").to_pylist()
    by_query: dict[str, dict[bool, list[int]]] = {}
    for row in shown:
        by_query.setdefault(row["query_id"], {True: [], False: []})[row["satisfies"]].append(row["position"])
    query_id, found = next((name, each) for name, each in by_query.items() if each[True] and len(each[False]) > 3)
    pages = [
        {"impression_id": name, "query_id": query_id, "normalized_query": name, "outcome": outcome}
        for name, outcome in (("rewritten", "fused"), ("plain", "original_suffices"))
    ]
    retrieved = {
        "half": [found[True][0], found[False][0]],
        "quarter": [found[True][0], *found[False][:3]],
        "none": [],
    }
    rewrites = [
        {"impression_id": name, "rewrite_id": rewrite, "text": rewrite}
        for name in ("rewritten", "plain")
        for rewrite in retrieved
    ]
    channels = [
        {"impression_id": name, "shown": True, "position": place, "channel": channel, "rewrite_id": rewrite}
        for name in ("rewritten", "plain")
        for rewrite, places in retrieved.items()
        for place in places
        for channel in ("rewrite", "original")
    ]
    told = rewrite_relevance(
        Ledger(tmp_path),
        pa.Table.from_pylist(pages, IMPRESSIONS.schema),
        pa.Table.from_pylist(rewrites, REWRITES.schema),
        pa.Table.from_pylist(channels, HIT_CHANNELS.schema),
    )
    assert {(each.query, each.subject): each.positive for each in told} == {
        ("rewritten", "half"): True,
        ("rewritten", "quarter"): False,
        ("rewritten", "none"): False,
    }


class ReadLedger(Ledger):
    """Of searches made by hand."""

    def __init__(self, searches: Sequence[dict[str, object]]) -> None:
        self._searches = pa.Table.from_pylist([{**BLANK, **row} for row in searches], SCHEMAS["searches"])

    def read(self, table: Table) -> pa.Table:
        return self._searches if table == "searches" else SCHEMAS[table].empty_table()


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EMPTY: dict[str, object] = {"string": "", "bool": False, "double": 0.0, "int32": 0}
BLANK = {field.name: EMPTY.get(str(field.type), NOON) for field in SCHEMAS["searches"]}


def searched(client: str, at_s: int, text: str, need: str = "wings", **told: object) -> dict[str, object]:
    """A search of a page of ten, eight dishes of the region satisfy."""
    moment = NOON + timedelta(seconds=at_s)
    told = {"shown": 10, "satisfying": 8, "satisfying_shown": 5, **told}
    return {"query_id": f"{client}-{at_s}", "client_id": client, "region": "north", "time": moment, "text": text,
            "need_id": need, **told}  # fmt: skip


def test_a_reformulation_is_relevant_if_its_page_had_enough_of_what_satisfies() -> None:
    ledger = ReadLedger(
        [
            searched("ann", 30, "Wings"),
            searched("ann", 0, "winggs"),
            searched("ann", 60, "soup", "soup"),
            searched("bob", 0, "winggs"),
            searched("bob", 40, "one dish", satisfying=1, satisfying_shown=1),
            searched("bob", 80, "few", satisfying_shown=2),
            searched("bob", 90, "FEW!"),
            searched("bob", 4_000, "much later"),
            searched("cleo", 0, "winggs", region="south"),
            searched("cleo", 9, "elsewhere"),
        ]
    )
    assert {(each.query, each.subject): each.positive for each in reformulation_relevance(ledger)} == {
        ("winggs", "wings"): True,
        ("wings", "soup"): False,  # for another need
        ("winggs", "one dish"): True,  # all that there is
        ("one dish", "few"): False,
    }


def test_what_was_shown_as_a_rewrite_is_judged_as_one() -> None:
    ledger = ReadLedger([searched("ann", 0, "winggs"), searched("ann", 30, "wings"), searched("ann", 60, "chicken")])
    page = {"impression_id": "i", "query_id": "ann-0", "normalized_query": "winggs", "outcome": "fused"}
    told = label_truth(
        ledger,
        pa.Table.from_pylist([page], IMPRESSIONS.schema),
        pa.Table.from_pylist([{"impression_id": "i", "rewrite_id": "r", "text": "Wings"}], REWRITES.schema),
        HIT_CHANNELS.schema.empty_table(),
    )
    assert {(each.query, each.subject): each.positive for each in told} == {
        ("winggs", "Wings"): False,  # it retrieved nothing
        ("wings", "chicken"): True,
    }


def test_documents_stand_for_true_events() -> None:
    told = {"kind": "click", "query_id": "q", "object_id": "d", "position": 2, "level": 1, "rewrite_id": "r1"}
    told |= {"share_ppb": 10**9}
    attributed = pa.Table.from_pylist(
        [
            {**told, "event_id": "copy", "status": "credited"},
            {**told, "event_id": "other run", "status": "credited"},
            {**told, "event_id": "late", "status": "no_touch"},
        ],
        ATTRIBUTED_EVENTS.schema,
    )
    found = credited_rows(attributed, {"copy": "e", "late": "f"})
    assert found == (CreditRow("e", "click", "q", "d", 2, 1, "r1", 10**9),)


def test_an_audit_tells_what_is_lost_twice_and_strange() -> None:
    assert audit("searches", ["a", "b"], ["b", "a"]).holds
    told = audit("searches", ["a", "b", "c"], ["a", "a", "b", "x"])
    assert (told.ledger, told.collected, told.lost, told.twice, told.strange) == (3, 4, 1, 1, 1)
    assert not told.holds
