"""A run's traffic through a made-up node: repeatable, resumable without duplicates, and what the ledger says of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from iterqr_benchmarks.errors import MarketplaceError
from iterqr_benchmarks.marketplace import traffic
from iterqr_benchmarks.marketplace.ledger import SCHEMAS, TABLES, Ledger
from iterqr_benchmarks.marketplace.market import Market
from iterqr_benchmarks.marketplace.run_state import RunState, write_state
from iterqr_benchmarks.marketplace.settings import AdversitySettings, TrafficSettings
from iterqr_benchmarks.marketplace.summary import TrafficSummary
from iterqr_benchmarks.marketplace.traffic import run_traffic
from support.scripted_market import SMALL_WORLD, ScriptedNode, small_market

TRAFFIC = TrafficSettings(users=30, searches=150, days=1, seed=3, threads=1)
ROUGH = replace(
    TRAFFIC,
    adversity=AdversitySettings(
        bots=0.1, missing_client_ids=0.2, missing_query_ids=0.2, duplicates=0.3, late=0.3, out_of_order=0.3,
        clock_skew=0.3,
    ),
)  # fmt: skip


Tables = dict[str, list[dict[str, object]]]


def run(folder: Path, settings: TrafficSettings = TRAFFIC, node: ScriptedNode | None = None) -> TrafficSummary:
    return run_traffic(node or ScriptedNode(small_market()), small_market(), settings, folder)


def tables(folder: Path) -> Tables:
    ledger = Ledger(folder)
    return {name: ledger.read(name).to_pylist() for name in TABLES}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """The ledger of a run with every adversity that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder, ROUGH)
    return tables(folder)


def test_the_same_settings_make_the_same_ledger(tmp_path: Path, whole: Tables) -> None:
    run(tmp_path, ROUGH)
    assert tables(tmp_path) == whole


def test_how_many_search_at_once_changes_nothing_but_the_order(tmp_path: Path) -> None:
    run(tmp_path / "one", TRAFFIC)
    run(tmp_path / "many", replace(TRAFFIC, threads=8))
    one, many = tables(tmp_path / "one"), tables(tmp_path / "many")
    for name in TABLES:
        assert sorted(map(str, one[name])) == sorted(map(str, many[name]))


def test_another_seed_makes_another_run(tmp_path: Path) -> None:
    run(tmp_path / "a")
    run(tmp_path / "b", replace(TRAFFIC, seed=4))
    a, b = tables(tmp_path / "a"), tables(tmp_path / "b")
    assert {row["query_id"] for row in a["searches"]}.isdisjoint(row["query_id"] for row in b["searches"])
    assert [row["text"] for row in a["searches"]] != [row["text"] for row in b["searches"]]


def test_ledger_is_what_the_node_saw(tmp_path: Path) -> None:
    node = ScriptedNode(small_market())
    summary = run(tmp_path, ROUGH, node)
    told = tables(tmp_path)
    assert {row["query_id"] for row in told["searches"]} == {each.query_id for each in node.searched}
    shown = {(row["query_id"], row["position"]): row["object_id"] for row in told["shown"]}
    assert shown == {
        (query_id, position): object_id
        for query_id, page in node.impressions.items()
        for position, object_id in enumerate(page.object_ids, start=1)
    }
    assert [row["document_id"] for row in told["events"]] == [each.document_id for each in node.arrived]
    assert {row["event_id"] for row in told["events"]} == {row["event_id"] for row in told["actions"]}
    assert summary.searches == len(node.searched)
    assert summary.needs == TRAFFIC.searches
    assert summary.reformulations > 0
    assert summary.outcomes == {"fused": summary.searches}


def test_every_order_names_the_search_and_the_click_that_led_to_it(tmp_path: Path) -> None:
    run(tmp_path, ROUGH)
    told = tables(tmp_path)
    assert told["orders"]
    actions = {row["event_id"]: row for row in told["actions"]}
    satisfies = {(row["query_id"], row["object_id"]): row["satisfies"] for row in told["shown"]}
    for order in told["orders"]:
        click, purchase = actions[order["click_id"]], actions[order["order_id"]]
        assert (click["action"], purchase["action"]) == ("click", "purchase")
        assert click["query_id"] == purchase["query_id"] == order["query_id"]
        assert click["object_id"] == purchase["object_id"] == order["object_id"]
        assert str(click["time"]) < str(purchase["time"])
        if not order["bot"]:
            assert satisfies[order["query_id"], order["object_id"]]


def test_truth_of_the_ledger_is_the_worlds(tmp_path: Path) -> None:
    run(tmp_path)
    told = tables(tmp_path)
    market = small_market()
    needs = {row["query_id"]: (row["region"], row["need_id"]) for row in told["searches"]}
    for row in told["shown"]:
        region, need_id = needs[row["query_id"]]
        shelf = market.region(str(region))
        dish = shelf.shelf.by_id[str(row["object_id"])]
        assert row["satisfies"] == shelf.by_id[str(need_id)].satisfied_by.holds(dish)


def test_each_adversity_touches_its_share_and_does_what_it_says(tmp_path: Path) -> None:
    node = ScriptedNode(small_market())
    run(tmp_path, replace(ROUGH, searches=600), node)
    told = tables(tmp_path)
    true = {row["event_id"]: row for row in told["actions"]}
    touched = Counter(name for row in told["events"] for name in str(row["touched"]).split(",") if name)
    assert set(touched) == {
        "missing_client_ids", "missing_query_ids", "duplicates", "late", "out_of_order", "clock_skew"
    }  # fmt: skip
    assert touched["duplicates"] == len(told["events"]) - len(true)
    for share, name in ((0.3, "duplicates"), (0.2, "missing_query_ids")):
        assert abs(touched[name] / len(told["events"]) - share) < 0.1
    for row in told["events"]:
        names, deed = str(row["touched"]).split(","), true[row["event_id"]]
        assert (row["query_id"] == "") == ("missing_query_ids" in names)
        assert (row["client_id"] == "") == ("missing_client_ids" in names)
        assert (row["timestamp"] == deed["time"]) == ("clock_skew" not in names)
        assert (row["document_id"] == row["event_id"]) == ("duplicates" not in names)
        if "late" in names:
            assert (row["arrives"] - deed["time"]).total_seconds() >= 3_600  # type: ignore[operator]
    bots = {row["bot"] for row in told["searches"]}
    assert bots == {"", "scraper", "clicker", "fraud"}
    assert all(row["clicks"] == row["shown"] for row in told["searches"] if row["bot"] == "clicker")
    assert all(row["clicks"] == 0 for row in told["searches"] if row["bot"] == "scraper")
    order = [row["timestamp"] for row in told["events"] if not row["touched"]]
    assert order == sorted(order)  # type: ignore[type-var]
    all_times = [true[row["event_id"]]["time"] for row in told["events"]]
    assert all_times != sorted(all_times)  # type: ignore[type-var]


def test_without_adversity_events_arrive_as_they_happened(tmp_path: Path) -> None:
    run(tmp_path)
    events = tables(tmp_path)["events"]
    assert {row["touched"] for row in events} == {""}
    assert [row["timestamp"] for row in events] == sorted(row["timestamp"] for row in events)  # type: ignore[type-var]


@pytest.mark.parametrize("searches_before_the_stop", [0, 1, 40, 97, 170])
@pytest.mark.parametrize("how", ["fails_at", "fails_before"])
def test_a_stopped_run_goes_on_without_searching_or_sending_twice(
    tmp_path: Path, whole: Tables, how: str, searches_before_the_stop: int
) -> None:
    node = ScriptedNode(small_market(), **{how: searches_before_the_stop})  # type: ignore[arg-type]
    with pytest.raises(MarketplaceError):
        run(tmp_path, ROUGH, node)
    run(tmp_path, ROUGH, node)
    assert tables(tmp_path) == whole
    assert len(node.searched) == len({each.query_id for each in node.searched})


@pytest.mark.parametrize("events_before_the_stop", [0, 5, 60])
def test_a_stop_between_events_sends_none_twice(tmp_path: Path, whole: Tables, events_before_the_stop: int) -> None:
    node = ScriptedNode(small_market(), events_fail_after=events_before_the_stop)
    with pytest.raises(MarketplaceError):
        run(tmp_path, ROUGH, node)
    run(tmp_path, ROUGH, node)
    assert tables(tmp_path) == whole
    assert len(node.arrived) == len(node.events) == len(whole["events"])


def test_a_stop_after_a_segment_is_written_but_before_it_counts(
    tmp_path: Path, whole: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = ScriptedNode(small_market())

    def stops(folder: Path, state: RunState) -> None:
        if state.next_segment > 12:
            raise KeyboardInterrupt
        write_state(folder, state)

    with monkeypatch.context() as patched:
        patched.setattr(traffic, "write_state", stops)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, ROUGH, node)
    run(tmp_path, ROUGH, node)
    assert tables(tmp_path) == whole


def test_a_finished_run_does_nothing_more(tmp_path: Path) -> None:
    node = ScriptedNode(small_market())
    first = run(tmp_path, TRAFFIC, node)
    searched = len(node.searched)
    assert run(tmp_path, TRAFFIC, node) == first
    assert len(node.searched) == searched


def test_a_node_with_another_world_is_noticed(tmp_path: Path) -> None:
    other = Market(replace(SMALL_WORLD, seed=99))
    with pytest.raises(MarketplaceError, match="it has another world"):
        run_traffic(ScriptedNode(small_market()), other, TRAFFIC, tmp_path)


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(MarketplaceError, match="run with other settings"):
        run(tmp_path, replace(TRAFFIC, seed=9))
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(MarketplaceError, match="is damaged"):
        run(tmp_path)


def test_arms_of_a_seed_have_the_same_users_needs_and_first_words(tmp_path: Path) -> None:
    run(tmp_path / "control", replace(TRAFFIC, arm="control"))
    run(tmp_path / "treatment", replace(TRAFFIC, arm="treatment"), ScriptedNode(small_market(), better=True))
    control, treatment = tables(tmp_path / "control"), tables(tmp_path / "treatment")

    def first(told: Tables) -> set[tuple[object, ...]]:
        keys = ("user", "client_id", "session", "step", "region", "need_id", "text")
        return {tuple(row[key] for key in keys) for row in told["searches"] if row["attempt"] == 0}

    assert first(control) == first(treatment)
    assert {row["query_id"] for row in control["searches"]}.isdisjoint(row["query_id"] for row in treatment["searches"])
    assert len(control["orders"]) != len(treatment["orders"]) or control["orders"] != treatment["orders"]


def test_arms_that_show_the_same_have_the_same_outcome(tmp_path: Path) -> None:
    """An A/A replay: nothing but ids differs, so paired differences are zero throughout."""
    run(tmp_path / "control", replace(TRAFFIC, arm="control"))
    run(tmp_path / "treatment", replace(TRAFFIC, arm="treatment"))
    keys = ("user", "session", "step", "attempt", "text", "clicks", "ordered", "retries", "satisfying_shown")
    outcomes = [
        sorted(str([row[key] for key in keys]) for row in tables(tmp_path / arm)["searches"])
        for arm in ("control", "treatment")
    ]
    assert outcomes[0] == outcomes[1]


def test_events_are_ubi_documents(tmp_path: Path) -> None:
    node = ScriptedNode(small_market())
    run(tmp_path, TRAFFIC, node)
    click = next(each for each in node.arrived if each.action == "click")
    assert click.document("marketplace") == {
        "application": "marketplace",
        "action_name": "click",
        "query_id": click.query_id,
        "client_id": click.client_id,
        "session_id": click.session_id,
        "timestamp": click.timestamp.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "message_type": "INTERACTION",
        "event_attributes": {
            "object": {
                "object_id": click.object_id,
                "object_id_field": "dish_id",
                "object_detail": {"price": click.price},
            },
            "position": {"ordinal": click.position},
        },
    }


def test_schemas_have_no_nulls_and_nothing_nested() -> None:
    for schema in SCHEMAS.values():
        assert all(not field.nullable and not str(field.type).startswith(("list", "struct")) for field in schema)
