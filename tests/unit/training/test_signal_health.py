"""Signal health: what is counted by day, and what the counts come to."""

from __future__ import annotations

import io
import json
from pathlib import Path

import ibis
import pytest
from iterqr_training.errors import SettingError
from iterqr_training.signals.health.counts import NO_DAY, Signals, health_counts
from iterqr_training.signals.health.report import health_json, health_table, write_health
from iterqr_training.signals.health.settings import Bound, HealthSettings
from iterqr_training.signals.health.verdict import Count, Finding, State, findings, state_of, worst
from rich.console import Console
from support.health_rows import FIRST_DAY, HealthRows, troubled

SETTINGS = HealthSettings(tail_searches=3, level1_clicks_needed=2)


def counted(rows: HealthRows, settings: HealthSettings = SETTINGS) -> list[Count]:
    backend = ibis.duckdb.connect()
    try:
        signals = Signals(
            **{name: backend.create_table(name, ibis.memtable(table)) for name, table in rows.tables().items()}
        )
        return [Count(**row) for row in health_counts(signals, settings).to_pyarrow().to_pylist()]
    finally:
        backend.disconnect()


def by_day(counts: list[Count], measure: str) -> dict[int, tuple[int, int]]:
    return {
        each.day if each.day == NO_DAY else each.day - FIRST_DAY: (each.part, each.whole)
        for each in counts
        if each.measure == measure
    }


@pytest.mark.parametrize(
    ("measure", "days"),
    [
        ("with_impression", {0: (3, 3), 1: (0, 2)}),
        ("orphans", {0: (1, 4), 1: (2, 2)}),
        ("orphans.not_shown", {0: (1, 4), 1: (0, 2)}),
        ("orphans.no_impression", {0: (0, 4), 1: (1, 2)}),
        ("orphans.no_query_id", {0: (0, 4), 1: (1, 2)}),
        ("orphans.other_client", {0: (0, 4), 1: (0, 2)}),
        ("without_client", {0: (1, 4), 1: (0, 2)}),
        ("early", {0: (1, 4)}),
        ("lead_s", {0: (100, 4)}),
        ("duplicates", {0: (1, 4), 1: (0, 2)}),
        ("labelled_tail", {NO_DAY: (2, 3)}),
        ("level1_volume", {NO_DAY: (2, 6)}),
    ],
)
def test_every_trouble_is_counted_on_its_day(measure: str, days: dict[int, tuple[int, int]]) -> None:
    assert by_day(counted(troubled()), measure) == days


def test_nothing_collected_fails_and_says_so() -> None:
    found = findings(counted(HealthRows()), SETTINGS)
    assert worst(found) is State.FAIL
    assert {each.words for each in found} == {"nothing to tell it by"}
    assert finding(found, "with_impression").state is State.FAIL
    assert finding(found, "duplicates").state is State.WARN


def test_findings_add_up_days_and_say_what_was_counted() -> None:
    found = findings(counted(troubled()), SETTINGS)
    impressions = finding(found, "with_impression")
    assert (impressions.part, impressions.whole, impressions.value) == (3, 5, 0.6)
    assert impressions.words == "3 of 5 searches, told by queries and events, have an impression"
    assert [(day.day, day.state) for day in impressions.days] == [("2026-01-01", State.OK), ("2026-01-02", State.FAIL)]
    assert finding(found, "lead_s").value == 25.0
    assert finding(found, "labelled_tail").days == ()
    assert "2 level-1 clicks or 1 level-1 orders" in finding(found, "labelled_tail").words


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        (0.0, State.FAIL, State.OK),
        (0.1, State.WARN, State.OK),
        (0.2, State.WARN, State.WARN),
        (0.5, State.OK, State.WARN),
        (0.6, State.OK, State.FAIL),
        (None, State.FAIL, State.WARN),
    ],
)
def test_bounds_still_hold_where_they_are_reached(value: float | None, least: State, most: State) -> None:
    assert state_of(value, Bound(0.5, 0.1, is_least=True)) is least
    assert state_of(value, Bound(0.1, 0.5)) is most


def test_one_bad_measure_is_the_state_of_all() -> None:
    healthy = [Count(measure, 0, part, 100) for measure, part in (("with_impression", 100), ("orphans", 0))]
    found = findings(healthy, SETTINGS)
    assert worst([each for each in found if each.measure in ("with_impression", "orphans")]) is State.OK
    assert worst(found) is State.FAIL


def test_json_has_every_day_and_is_written_whole(tmp_path: Path) -> None:
    found = findings(counted(troubled()), SETTINGS)
    write_health(tmp_path / "reports" / "health.json", found)
    assert [each.name for each in (tmp_path / "reports").iterdir()] == ["health.json"]
    told = json.loads((tmp_path / "reports" / "health.json").read_text())
    assert told == health_json(found)
    assert told["state"] == "fail"
    measures = {each["measure"]: each for each in told["measures"]}
    assert measures["orphans"]["bound"] == "at_most"
    assert measures["orphans"]["days"] == [
        {"day": "2026-01-01", "state": "warn", "value": 0.25, "part": 1, "whole": 4},
        {"day": "2026-01-02", "state": "fail", "value": 1.0, "part": 2, "whole": 2},
    ]


def test_the_table_names_the_days_that_are_beyond() -> None:
    told = io.StringIO()
    Console(width=200, file=told).print(health_table(findings(counted(troubled()), SETTINGS)))
    text = told.getvalue()
    assert "2026-01-02 1.0000, 2026-01-01 0.2500" in text
    assert "fail" in text


@pytest.mark.parametrize(
    "wrong", [{"tail_searches": 0}, {"level1_clicks_needed": 0}, {"level1_orders_needed": 0}, {"early_tolerance_s": -1}]
)
def test_needs_out_of_limits_are_refused_by_name(wrong: dict[str, int]) -> None:
    (name,) = wrong
    with pytest.raises(SettingError, match=name):
        HealthSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("warn", "fail", "is_least"), [(0.1, 0.05, False), (0.1, 0.5, True)])
def test_failing_before_warning_is_refused(warn: float, fail: float, is_least: bool) -> None:
    with pytest.raises(SettingError, match="beyond warn"):
        Bound(warn, fail, is_least)


def finding(found: tuple[Finding, ...], measure: str) -> Finding:
    (only,) = (each for each in found if each.measure == measure)
    return only
