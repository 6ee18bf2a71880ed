"""Who is credited with a click or an order: one case for each clause of the rules."""

from __future__ import annotations

from typing import Any

import pytest
from iterqr_training.signals.engines import open_engine
from iterqr_training.signals.tables import ATTRIBUTED_EVENTS, EXAMINATION
from support.signals.credit_cases import CASES, Case, Credit, all_signals
from support.signals.running import MartTables, run_attribution


@pytest.fixture(scope="module")
def marts(tmp_path_factory: pytest.TempPathFactory) -> MartTables:
    """The marts of all cases, attributed at once: what is of one must not reach another."""
    with open_engine("duckdb://?threads=2") as engine:
        return run_attribution(engine, all_signals(), tmp_path_factory.mktemp("signals"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_credit(marts: MartTables, case: Case) -> None:
    prefix = f"{case.name}/"
    rows = [row for row in marts.rows(ATTRIBUTED_EVENTS) if row["event_id"].startswith(prefix)]
    found = [_credit(row, prefix) for row in rows]
    assert found == sorted(map(_whole, case.expected), key=lambda each: (each.event_id, each.rewrite_id))


def test_names_of_cases_are_different() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_every_row_tells_its_page_or_only_its_own_query(marts: MartTables) -> None:
    for row in marts.rows(ATTRIBUTED_EVENTS):
        if row["status"] == "credited":
            assert (row["region"], row["bucket"]) == ("north", "treatment")
            assert row["normalized_query"].endswith("/pad tai")
            assert row["checkpoint_id"].endswith("/m1")
        else:
            assert [row[name] for name in ("region", "bucket", "normalized_query", "checkpoint_id")] == [""] * 4


def test_texts_come_with_the_rewrites(marts: MartTables) -> None:
    texts = {"": "", "r1": "pad thai", "r2": "thai noodles"}
    rows = [row for row in marts.rows(ATTRIBUTED_EVENTS) if row["rewrite_id"] in texts]
    assert {(row["rewrite_id"], row["rewrite_text"]) for row in rows} == set(texts.items())


def test_a_credited_event_weighs_the_inverse_examination_of_its_position(marts: MartTables) -> None:
    weights = {row["position"]: row["weight_ppb"] for row in marts.rows(EXAMINATION)}
    for row in marts.rows(ATTRIBUTED_EVENTS):
        assert row["weight_ppb"] == (weights[row["position"]] if row["status"] == "credited" else 0)


def _credit(row: dict[str, Any], prefix: str) -> Credit:
    return Credit(
        row["event_id"].removeprefix(prefix),
        row["status"],
        row["level"],
        row["rewrite_id"],
        row["share_ppb"],
        row["exclusive"],
        row["touch_event_id"].removeprefix(prefix),
        row["impression_id"].removeprefix(prefix),
        row["position"],
    )


def _whole(credit: Credit) -> Credit:
    touch = credit.event_id if credit.touch is None else credit.touch
    return Credit(
        credit.event_id,
        credit.status,
        credit.level,
        credit.rewrite_id,
        credit.share_ppb,
        credit.exclusive,
        touch,
        credit.page,
        credit.position,
    )
