"""Whatever attribution says wrongly of a planted event is noticed and named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from iterqr_training.signals.attribution_check.cases import planted_cases
from iterqr_training.signals.attribution_check.comparison import attribution_problems
from iterqr_training.signals.attribution_check.planting import Case, KnownOutcome
from iterqr_training.signals.tables import ATTRIBUTED_EVENTS
from support.ideal_index import observe

CASES = planted_cases("run")
OBSERVED = [observe(search, CASES) for case in CASES for search in case.searches]
Row = dict[str, Any]
PPB = 10**9


def rows_of(case: Case, outcome: KnownOutcome) -> list[Row]:
    """What a right attribution says of an event."""
    (event,) = (each for each in case.events if each.event_id == outcome.event_id)
    told = {"event_id": event.event_id, "action": event.action, "object_id": event.object_id, "status": outcome.status}
    if outcome.credit is None:
        return [{**told, "touch_event_id": "", "query_id": event.query_id, "rewrite_id": "", "share_ppb": 0}]
    (search,) = (each for each in OBSERVED if each.query_id == outcome.query_id)
    credit = outcome.credit
    known = {
        "touch_event_id": outcome.touch_event_id,
        "query_id": outcome.query_id,
        "position": search.shown.index(event.object_id) + 1,
        "level": credit.level,
        "exclusive": credit.is_exclusive,
    }
    shares = [{"rewrite_id": each.rewrite_id, "share_ppb": int(each.part * PPB)} for each in credit.shares]
    return [{**told, **known, **share} for share in shares]


def case_rows(name: str) -> tuple[Case, list[Row]]:
    (case,) = (each for each in CASES if each.name == name)
    return case, [row for outcome in case.outcomes for row in rows_of(case, outcome)]


def problems(case: Case, rows: list[Row]) -> tuple[str, ...]:
    return attribution_problems(case, OBSERVED, pa.Table.from_pylist(rows, schema=ATTRIBUTED_EVENTS.schema)).problems


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_right_credit_holds(case: Case) -> None:
    _, rows = case_rows(case.name)
    table = pa.Table.from_pylist(rows, schema=ATTRIBUTED_EVENTS.schema)
    result = attribution_problems(case, OBSERVED, table)
    assert (result.holds, result.events) == (True, len(case.events))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_lost_event_is_noticed(case: Case) -> None:
    assert len(problems(case, [])) == len(case.events)


def put(column: str, value: object) -> Callable[[list[Row]], None]:
    return lambda rows: rows[0].update({column: value})


@pytest.mark.parametrize(
    ("name", "spoil", "told"),
    [
        ("exclusive", put("rewrite_id", "0" * 16), "is credited to 0000000000000000"),
        ("exclusive", put("status", "not_shown"), "status is not_shown, not credited"),
        ("exclusive", put("level", 2), "level is 2, not 1"),
        ("exclusive", put("exclusive", False), "exclusive is False, not True"),
        ("exclusive", put("position", 17), "position is 17"),
        ("exclusive", put("object_id", "x"), "object_id is x"),
        ("exclusive", put("query_id", "x"), "query_id is x"),
        ("exclusive", put("share_ppb", PPB - 5), "is 999999995 ppb, not 1"),
        ("shared", put("share_ppb", PPB // 2), "is 500000000 ppb, not 3/4"),
        ("shared", put("share_ppb", 750_000_001), "shares add up to 1000000001 ppb"),
        ("level 2", put("level", 1), "level is 1, not 2"),
        ("original alone", put("rewrite_id", "f" * 16), "is credited to ffffffffffffffff, not to nobody"),
        ("orphans", put("status", "credited"), "status is credited, not no_query_id"),
        ("orphans", put("rewrite_id", "f" * 16), "is credited to rewrites: ffffffffffffffff"),
    ],
)
def test_wrong_credit_is_noticed_and_named(name: str, spoil: Callable[[list[Row]], None], told: str) -> None:
    case, rows = case_rows(name)
    spoil(rows)
    assert any(told in each for each in problems(case, rows)), problems(case, rows)


def test_a_purchase_credited_to_the_first_touch_is_noticed() -> None:
    case, rows = case_rows("last touch")
    (first,) = (each for each in rows if each["event_id"] == case.events[0].event_id)
    (purchase,) = (each for each in rows if each["action"] == "purchase")
    purchase.update({name: first[name] for name in ("touch_event_id", "query_id", "rewrite_id", "level", "exclusive")})
    told = " ".join(problems(case, rows))
    assert all(f"{name} is" in told for name in ("touch_event_id", "query_id", "level"))


def test_a_row_told_twice_is_noticed() -> None:
    case, rows = case_rows("exclusive")
    assert problems(case, [*rows, *rows])
