"""Duplicates and bots are left out, people are not, and the counts say what went."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import ibis
import pytest
from iterqr_training.errors import SettingError
from iterqr_training.signals.attribution_check.planting import INDEX_PREFIX
from iterqr_training.signals.filters import FilterSettings, MarkedSignals, clean, counts, kept
from support.signal_rows import LIMITS, Signals, adverse_world, at, event

PLANTED_APPLICATION = f"{INDEX_PREFIX}1a2b"
Numbers = dict[tuple[str, str, str], int]


def numbers(marked: MarkedSignals) -> Numbers:
    rows = counts(marked).to_pyarrow().to_pylist()
    return {(row["filter"], row["reason"], row["table"]): row["rows"] for row in rows}


def left_out(marked: MarkedSignals) -> Numbers:
    return {key: number for key, number in numbers(marked).items() if key[0] != "kept"}


def events_of(marked: MarkedSignals) -> list[str]:
    return sorted(kept(marked.events).to_pyarrow()["event_id"].to_pylist())


def impressions_of(marked: MarkedSignals) -> list[str]:
    return sorted(kept(marked.impressions).to_pyarrow()["impression_id"].to_pylist())


def one_search(*events: dict[str, Any]) -> Signals:
    signals = Signals(events=list(events))
    signals.search("i", "c-1", at())
    return signals


def test_what_a_check_planted_is_left_out() -> None:
    signals = one_search(
        event("a", "c-1", at(5), "q-i"), event("b", "c-1", at(6), "q-j", application=PLANTED_APPLICATION)
    )
    signals.search("j", "c-1", at(1))
    signals.impressions[-1]["application"] = PLANTED_APPLICATION
    marked = signals.marked()
    assert (impressions_of(marked), events_of(marked)) == (["i"], ["a"])
    assert left_out(marked) == {
        ("planted", "attribution_check", "impressions"): 1,
        ("planted", "attribution_check", "events"): 1,
    }


def test_what_is_kept_on_request_is_counted_as_kept() -> None:
    world = adverse_world(3)
    everything = replace(LIMITS, keep_duplicates=True, keep_bots=True)
    assert {key[:2] for key in left_out(world.marked(everything))} == {("duplicates", "same_id")}
    without_bots = left_out(world.marked(replace(LIMITS, keep_duplicates=True)))
    assert "repeated" not in {reason for _, reason, _ in without_bots}
    assert {filter_ for filter_, _, _ in without_bots} == {"duplicates", "bots"}
    assert {key[:2] for key in left_out(world.marked(replace(LIMITS, keep_bots=True)))} == {
        ("duplicates", "same_id"),
        ("duplicates", "repeated"),
    }


def test_people_are_left_alone() -> None:
    signals = one_search(event("a", "c-1", at(5), "q-i"), event("b", "c-1", at(9), "q-i", "o-2"))
    marked = signals.marked()
    assert (impressions_of(marked), events_of(marked)) == (["i"], ["a", "b"])
    assert numbers(marked) == {("kept", "", "impressions"): 1, ("kept", "", "events"): 2}
    assert kept(marked.events).schema() == signals_schema(signals, 2)
    assert kept(marked.impressions).schema() == signals_schema(signals, 0)


def signals_schema(signals: Signals, number: int) -> Any:  # noqa: ANN401 - of Ibis
    return ibis.memtable(signals.arrow()[number]).schema()


def test_of_a_documents_copies_the_earliest_is_kept() -> None:
    signals = one_search(event("a", "c-1", at(5), "q-i"), event("a", "c-1", at(0, day=2), "q-i", action="purchase"))
    signals.impressions += signals.impressions * 2
    marked = signals.marked()
    assert kept(marked.events).to_pyarrow()["action"].to_pylist() == ["click"]
    assert impressions_of(marked) == ["i"]
    assert left_out(marked) == {
        ("duplicates", "same_id", "impressions"): 2,
        ("duplicates", "same_id", "events"): 1,
    }


@pytest.mark.parametrize(
    ("seconds", "window_ms", "kept"),
    [(0, 0, 1), (0.001, 0, 2), (1, 1_000, 1), (1.001, 1_000, 2), (59, 60_000, 1)],
)
def test_a_retry_comes_within_the_window(seconds: float, window_ms: int, kept: int) -> None:
    signals = one_search(event("a", "c-1", at(5), "q-i"), event("b", "c-1", at(5 + seconds), "q-i"))
    marked = signals.marked(replace(LIMITS, repeat_window_ms=window_ms))
    assert events_of(marked) == ["a", "b"][:kept]
    assert left_out(marked).get(("duplicates", "repeated", "events"), 0) == 2 - kept


def test_a_chain_of_retries_is_one_event() -> None:
    signals = one_search(*(event(f"e{number}", "c-1", at(number * 0.9), "q-i") for number in range(5)))
    assert events_of(signals.marked()) == ["e0"]


@pytest.mark.parametrize(
    "difference",
    [{"action": "purchase"}, {"object_id": "o-2"}, {"position": 2}, {"query_id": "q-j"}, {"client_id": "c-2"}],
)
def test_what_differs_is_no_retry(difference: dict[str, Any]) -> None:
    first = event("a", "c-1", at(5), "q-i", position=1)
    assert events_of(one_search(first, {**first, "event_id": "b", **difference}).marked()) == ["a", "b"]


def test_events_of_nobody_are_no_retries_and_nobody_is_a_bot() -> None:
    signals = Signals(events=[event(f"e{number}", "", at(), "") for number in range(100)])
    for number in range(100):
        signals.search(f"i{number}", "", at())
    marked = signals.marked()
    assert left_out(marked) == {}
    assert (len(events_of(marked)), len(impressions_of(marked))) == (100, 100)


def searches(number: int) -> Signals:
    signals = Signals()
    for each in range(number):
        signals.search(f"i{each}", "c-1", at(each))
    return signals


@pytest.mark.parametrize(("number", "is_bot"), [(20, False), (21, True)])
def test_too_many_searches_a_day(number: int, is_bot: bool) -> None:
    signals = searches(number)
    signals.search("other", "c-2", at())
    signals.search("tomorrow", "c-1", at(day=1))
    signals.events += [event("a", "c-1", at(), "q-i0"), event("b", "c-1", at(day=1), "q-i0", "o-2")]
    marked = signals.marked()
    assert len(impressions_of(marked)) == (2 if is_bot else 22)
    assert events_of(marked) == (["b"] if is_bot else ["a", "b"])
    assert left_out(marked) == (
        {
            ("bots", "too_many_searches", "client_days"): 1,
            ("bots", "too_many_searches", "impressions"): 21,
            ("bots", "too_many_searches", "events"): 1,
        }
        if is_bot
        else {}
    )


def test_pages_of_one_search_are_one_search() -> None:
    signals = searches(30)
    for row in signals.impressions:
        row["query_id"] = "q"
    assert left_out(signals.marked()) == {}


@pytest.mark.parametrize(("number", "is_bot"), [(15, False), (16, True)])
def test_too_many_clicks_an_hour(number: int, is_bot: bool) -> None:
    signals = searches(18)
    signals.events += [event(f"e{each}", "c-1", at(each), f"q-i{each}") for each in range(number)]
    signals.events += [event(f"f{each}", "c-1", at(3_600 + each), f"q-i{each}") for each in range(3)]
    signals.events.append(event("view", "c-1", at(1), "q-i1", action="view"))
    found = left_out(signals.marked())
    assert found.get(("bots", "too_many_clicks", "client_days"), 0) == is_bot
    assert found.get(("bots", "too_many_clicks", "events"), 0) == (number + 4 if is_bot else 0)


@pytest.mark.parametrize(("clicked", "is_bot"), [(17, False), (18, True)])
def test_clicks_on_nearly_every_hit(clicked: int, is_bot: bool) -> None:
    signals = searches(4)  # 20 hits
    objects = [(f"q-i{search}", f"o-{position}") for search in range(4) for position in range(1, 6)]
    signals.events += [
        event(f"e{number}", "c-1", at(number * 900), query_id, object_id)
        for number, (query_id, object_id) in enumerate(objects[:clicked])
    ]
    signals.events.append(event("again", "c-1", at(20_000), *objects[0]))
    found = left_out(signals.marked())
    assert found.get(("bots", "clicks_nearly_everything", "client_days"), 0) == is_bot


@pytest.mark.parametrize(("number", "logged", "is_bot"), [(5, 0, False), (6, 0, True), (6, 1, False)])
def test_events_without_impressions(number: int, logged: int, is_bot: bool) -> None:
    signals = Signals(events=[event(f"e{each}", "c-1", at(each * 60), f"q-i{each}") for each in range(number)])
    for each in range(logged):
        signals.search(f"i{each}", "c-1", at(day=-1))
    found = left_out(signals.marked())
    assert found.get(("bots", "events_without_impressions", "events"), 0) == (number if is_bot else 0)


def test_a_bot_by_several_reasons_is_counted_once() -> None:
    signals = searches(21)
    signals.events += [event(f"e{each}", "c-1", at(each), f"q-i{each}") for each in range(21)]
    assert left_out(signals.marked()) == {
        ("bots", "too_many_searches", "client_days"): 1,
        ("bots", "too_many_searches", "impressions"): 21,
        ("bots", "too_many_searches", "events"): 21,
    }


def test_retries_make_no_bot() -> None:
    signals = searches(1)
    signals.events += [event(f"e{each}", "c-1", at(each * 0.01), "q-i0") for each in range(40)]
    marked = signals.marked()
    assert left_out(marked) == {("duplicates", "repeated", "events"): 39}


def test_days_end_at_midnight_utc() -> None:
    signals = searches(0)
    midnight = at(12 * 3_600)
    for number in range(30):
        signals.search(f"i{number}", "c-1", midnight + timedelta(seconds=number - 15))
    assert left_out(signals.marked()) == {}


def test_every_row_of_an_adverse_world_is_kept_or_counted_once() -> None:
    world = adverse_world(seed=3)
    marked = world.marked()
    found = numbers(marked)
    for table, rows in (("impressions", world.impressions), ("events", world.events)):
        assert sum(number for key, number in found.items() if key[2] == table) == len(rows)
    assert {reason: number for (_, reason, table), number in found.items() if table == "client_days"} == {
        "too_many_searches": 2,  # the clicking bot searches as much
        "clicks_nearly_everything": 1,
        "events_without_impressions": 1,
    }
    assert found["duplicates", "repeated", "events"] > 0
    assert found["duplicates", "same_id", "events"] > 0
    people = {row["client_id"] for row in kept(marked.impressions).to_pyarrow().to_pylist()}
    assert people <= {"", *(f"user-{number}" for number in range(20))}


def test_what_is_clean_is_what_is_not_marked() -> None:
    signals = one_search(event("a", "c-1", at(5), "q-i"), event("b", "c-1", at(5.5), "q-i"))
    impressions, hits, events = (ibis.memtable(table) for table in signals.arrow())
    cleaned = clean(impressions, hits, events, LIMITS)
    marked = signals.marked()
    assert cleaned.events.to_pyarrow().to_pylist() == kept(marked.events).to_pyarrow().to_pylist()
    assert cleaned.impressions.to_pyarrow().to_pylist() == kept(marked.impressions).to_pyarrow().to_pylist()
    told = {tuple(row.values()) for row in cleaned.counts.to_pyarrow().to_pylist()}
    assert told == {(*key, number) for key, number in numbers(marked).items()}
    assert ("duplicates", "repeated", "events", 1) in told


@pytest.mark.parametrize(
    ("name", "value", "limits"),
    [
        ("repeat_window_ms", 60_001, "0 to 60,000"),
        ("max_searches_a_day", 0, "1 to 1,000,000"),
        ("max_clicks_an_hour", 0, "1 to 1,000,000"),
        ("min_hits_to_judge", 0, "1 to 1,000,000"),
        ("nearly_everything_percent", 101, "1 to 100"),
        ("max_unseen_events_a_day", 0, "1 to 1,000,000"),
        ("click_actions", (), "at least one"),
    ],
)
def test_settings_out_of_their_limits_are_refused(name: str, value: Any, limits: str) -> None:  # noqa: ANN401 - of any
    with pytest.raises(SettingError, match=f"{name} is .*{limits}"):
        FilterSettings(**{name: value})
