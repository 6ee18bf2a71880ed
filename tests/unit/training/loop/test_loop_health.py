"""Detectors on planted faults, and on loops that are well."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from iterqr_training.errors import SettingError
from iterqr_training.loop.health import AlarmName, DetectorLimits, Reading, find_alarms

LIMITS = DetectorLimits()
UNTUNED = Reading("untuned", empty_rate=0.02, drift=0.30, distinct_2=0.60, novelty=math.nan)


def names(*readings: Reading) -> list[AlarmName]:
    return [each.name for each in find_alarms(readings, LIMITS)]


def series(count: int, **steps: float) -> list[Reading]:
    """The untuned model, and checkpoints each of which changes by a step."""
    readings = [UNTUNED]
    for number in range(1, count + 1):
        changed = {name: getattr(UNTUNED, name) + number * step for name, step in steps.items()}
        readings.append(replace(UNTUNED, **{"name": f"iteration {number}", "novelty": 0.4, **changed}))
    return readings


def test_a_loop_that_learns_raises_no_alarm() -> None:
    assert names(*series(3, empty_rate=-0.005, drift=0.02, distinct_2=-0.02)) == []


def test_one_reading_alone_is_compared_with_nothing() -> None:
    assert names(replace(UNTUNED, empty_rate=1.0)) == []


@pytest.mark.parametrize(
    ("fault", "alarm"),
    [
        ({"empty_rate": 0.5}, AlarmName.EMPTY_RESULTS),
        ({"drift": 0.9}, AlarmName.SEMANTIC_DRIFT),
        ({"distinct_2": 0.01}, AlarmName.LOOP_COLLAPSE),
    ],
)
def test_a_sudden_fault_is_named(fault: dict[str, float], alarm: AlarmName) -> None:
    assert names(UNTUNED, replace(UNTUNED, name="iteration 1", **fault)) == [alarm]


@pytest.mark.parametrize(
    ("steps", "alarm"),
    [
        ({"empty_rate": 0.02}, AlarmName.EMPTY_RESULTS),
        ({"drift": 0.04}, AlarmName.SEMANTIC_DRIFT),
        ({"distinct_2": -0.07}, AlarmName.LOOP_COLLAPSE),
    ],
)
def test_what_gets_a_little_worse_each_time_is_found_after_a_while(steps: dict[str, float], alarm: AlarmName) -> None:
    readings = series(3, **steps)
    assert names(*readings[:2]) == []
    assert names(*readings) == [alarm]


def test_a_loop_that_repeats_itself_while_variety_falls_collapses() -> None:
    first = replace(UNTUNED, name="iteration 1", distinct_2=0.58, novelty=0.5)
    second = replace(UNTUNED, name="iteration 2", distinct_2=0.55, novelty=0.04)
    (alarm,) = find_alarms([UNTUNED, first, second], LIMITS)
    assert alarm.name is AlarmName.LOOP_COLLAPSE
    assert "iteration 2" in alarm.words
    assert "4.0%" in alarm.words


def test_a_loop_that_converges_without_losing_variety_is_well() -> None:
    first = replace(UNTUNED, name="iteration 1", distinct_2=0.55, novelty=0.5)
    second = replace(UNTUNED, name="iteration 2", distinct_2=0.56, novelty=0.04)
    assert names(UNTUNED, first, second) == []


def test_several_alarms_at_once() -> None:
    wrong = replace(UNTUNED, name="iteration 1", empty_rate=0.4, drift=0.8, distinct_2=0.1)
    assert names(UNTUNED, wrong) == list(AlarmName)


def test_what_nobody_measured_raises_no_alarm() -> None:
    unknown = Reading("iteration 1", math.nan, math.nan, math.nan, math.nan)
    assert names(UNTUNED, unknown) == []


@pytest.mark.parametrize("name", ["max_empty_rise", "max_drift_rise", "max_variety_loss", "min_novelty"])
def test_limits_have_limits(name: str) -> None:
    with pytest.raises(SettingError, match=name):
        DetectorLimits(**{name: -0.1})
