"""What rewrites, searches and hints come to, of a small town's signals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from iterqr_training.signals.attribution.settings import AttributionSettings
from iterqr_training.signals.engines import open_engine
from iterqr_training.signals.tables import (
    ATTRIBUTED_EVENTS,
    EXAMINATION,
    HINTS,
    MARTS,
    QUERY_OUTCOMES,
    REWRITE_OUTCOMES,
)
from support.signals.marketplace import HARMLESS_QUERIES, PERSONAL_QUERIES, TOWN
from support.signals.raw_rows import Event, Hit, Page, Signals
from support.signals.running import MartTables, run_attribution

ALL = 10**9


@pytest.fixture(scope="module")
def marts(tmp_path_factory: pytest.TempPathFactory) -> MartTables:
    with open_engine("duckdb://?threads=2") as engine:
        return run_attribution(engine, TOWN, tmp_path_factory.mktemp("town"))


def rewrite(marts: MartTables, rewrite_id: str, region: str = "north", checkpoint: str = "m1") -> dict[str, Any]:
    key = (region, "pad tai", rewrite_id, checkpoint)
    (row,) = [
        row
        for row in marts.rows(REWRITE_OUTCOMES)
        if (row["region"], row["normalized_query"], row["rewrite_id"], row["checkpoint_id"]) == key
    ]
    return row


def search(marts: MartTables, query_id: str) -> dict[str, Any]:
    (row,) = [row for row in marts.rows(QUERY_OUTCOMES) if row["query_id"] == query_id]
    return row


def examination(marts: MartTables) -> dict[int, int]:
    return {row["position"]: row["examination_ppb"] for row in marts.rows(EXAMINATION)}


def test_keys_are_unique(marts: MartTables) -> None:
    for spec in MARTS:
        keys = [tuple(row[name] for name in spec.key) for row in marts.rows(spec)]
        assert keys
        assert len(set(keys)) == len(keys), spec.name


def test_exposure_of_a_rewrite(marts: MartTables) -> None:
    row = rewrite(marts, "r1")
    looked_at = examination(marts)
    # Four pages with three hits of it, ann's second page without any, one of nobody, one without query id and one that
    # was shadowed, whose hits nobody saw.
    assert row["impressions"] == 4 + 1 + 1 + 1 + 1
    assert row["hits"] == 4 * 3 + 1 + 1
    assert row["level1_hits"] == 4 * 2 + 1 + 1
    assert row["examined_ppb"] == 4 * (looked_at[2] + looked_at[4]) + 2 * looked_at[2]
    assert row["clients"] == 4
    assert row["rewrite_text"] == "pad thai"


def test_earnings_of_a_rewrite(marts: MartTables) -> None:
    r1, r2 = rewrite(marts, "r1"), rewrite(marts, "r2")
    # c is r1's by a third (rank 2) and r2's by two (rank 1).
    third, rest = 333_333_333, 666_666_667
    assert r1["level1_clicks_ppb"] == (3 + 1) * ALL + 3 * third
    assert r2["level1_clicks_ppb"] == 3 * rest + ALL
    assert (r1["level2_clicks_ppb"], r2["level2_clicks_ppb"]) == (ALL, 0)
    assert (r1["exclusive_clicks"], r2["exclusive_clicks"]) == (4, 1)
    assert (r1["level1_orders_ppb"], r2["level1_orders_ppb"]) == (ALL + 2 * third, 2 * rest)
    assert (r1["level2_orders_ppb"], r2["level2_orders_ppb"]) == (ALL, 0)
    assert (r1["exclusive_orders"], r2["exclusive_orders"]) == (1, 0)


def test_regions_and_checkpoints_are_apart(marts: MartTables) -> None:
    south, other = rewrite(marts, "r1", region="south"), rewrite(marts, "r1", checkpoint="m2")
    assert (south["hits"], south["level1_hits"], south["level1_clicks_ppb"]) == (1, 0, 0)
    assert (other["hits"], other["level1_hits"], other["level1_clicks_ppb"]) == (1, 1, 0)


def test_click_rate_is_drawn_to_that_of_its_checkpoint(tmp_path: Path) -> None:
    # On 30 pages each r1 and r2 show a hit at position 1; of r1's six are clicked, of r2's one.
    pages = [
        Page(f"p{number}-{which}", f"q{number}-{which}", hits=[Hit("a", 1, None, {which: 1})])
        for number in range(30)
        for which in ("r1", "r2")
    ]
    clicks = [Event(f"e{number}", query_id=f"q{number}-r1") for number in range(6)] + [Event("e", query_id="q0-r2")]
    with open_engine("duckdb://?threads=2") as engine:
        marts = run_attribution(engine, Signals(pages, clicks), tmp_path, AttributionSettings(prior_hits=20))
    r1, r2 = rewrite(marts, "r1"), rewrite(marts, "r2")
    assert r1["click_rate"] == pytest.approx((6 + 20 * 7 / 60) / (30 + 20))
    assert r2["click_rate"] == pytest.approx((1 + 20 * 7 / 60) / (30 + 20))
    assert r1["confidence"] == r2["confidence"] == 0.6


def test_click_rate_is_a_rate(marts: MartTables) -> None:
    assert rewrite(marts, "r1")["click_rate"] == 1.0  # hits are clicked here more often than they are looked at


def test_without_a_hit_of_its_own_there_is_no_click_rate(marts: MartTables) -> None:
    row = rewrite(marts, "r1", region="south")
    assert row["click_rate"] is None
    assert row["confidence"] == 0.0


def test_a_search_has_all_its_pages(marts: MartTables) -> None:
    row = search(marts, "q-ann")
    assert (row["pages"], row["hits"], row["rewrites"], row["level1_hits"]) == (2, 5, 2, 3)
    assert (row["clicks"], row["level1_clicks"]) == (4, 3)
    assert (row["orders"], row["level1_orders"]) == (3, 2)
    assert row["value"] == 0.3  # 0.1 + 0.2 in floats is not
    assert (row["bucket"], row["outcome"], row["checkpoint_id"]) == ("treatment", "fused", "m1")


def test_searches_without_clicks_are_there_too(marts: MartTables) -> None:
    row = search(marts, "q-joe")
    assert (row["pages"], row["hits"], row["clicks"], row["orders"], row["value"]) == (1, 3, 0, 0, 0.0)


def test_an_order_that_was_never_touched_is_no_search_s(marts: MartTables) -> None:
    assert search(marts, "q-joe")["orders"] == 0
    statuses = {row["event_id"]: row["status"] for row in marts.rows(ATTRIBUTED_EVENTS)}
    assert statuses["o-d-joe"] == "no_touch"


def test_control_counts_clicks_and_no_rewrites(marts: MartTables) -> None:
    row = search(marts, "q-control")
    assert (row["bucket"], row["rewrites"], row["level1_hits"]) == ("control", 0, 0)
    assert (row["clicks"], row["level1_clicks"]) == (1, 0)


def test_pages_without_query_id_are_no_search(marts: MartTables) -> None:
    assert "" not in {row["query_id"] for row in marts.rows(QUERY_OUTCOMES)}


def test_hints_need_three_clients(marts: MartTables) -> None:
    hints = [row for row in marts.rows(HINTS) if row["normalized_query"] == "pad tai"]
    weight = {row["position"]: row["weight_ppb"] for row in marts.rows(EXAMINATION)}
    # b was clicked by ann, bob and eve, and by somebody without id; c thrice, but by two.
    assert hints == [
        {
            "region": "north",
            "normalized_query": "pad tai",
            "object_id": "b",
            "clicks": 4,
            "clients": 3,
            "weighted_clicks_ppb": 4 * weight[2],
        }
    ]


def test_queries_that_may_name_someone_give_no_hints(marts: MartTables) -> None:
    queries = {row["normalized_query"] for row in marts.rows(HINTS)} - {"pad tai"}
    assert queries & set(PERSONAL_QUERIES) == set()
    assert queries == set(HARMLESS_QUERIES)


def test_no_signals_give_empty_marts_and_the_default_curve(tmp_path_factory: pytest.TempPathFactory) -> None:
    with open_engine("duckdb://?threads=2") as engine:
        marts = run_attribution(engine, Signals(), tmp_path_factory.mktemp("nothing"))
    for spec in MARTS:
        assert bool(marts.rows(spec)) == (spec is EXAMINATION)
        assert marts.tables[spec.name].schema == spec.schema
    assert examination(marts)[4] == 250_000_000
