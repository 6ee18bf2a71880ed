"""Detectors of a loop that goes wrong slowly: alarms over the iterations, each with a name. Pure.

A gate compares a candidate with one champion. What gets a little worse each time passes every gate, and a model that
learns from its own outputs can lose variety so (model collapse: Shumailov et al., Nature 2024).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

from iterqr_training.errors import SettingError
from iterqr_training.experiments.wording import decimal, percent


class AlarmName(enum.StrEnum):
    """What is wrong."""

    EMPTY_RESULTS = "empty_results"
    SEMANTIC_DRIFT = "semantic_drift"
    LOOP_COLLAPSE = "loop_collapse"


@dataclass(frozen=True, slots=True)
class Alarm:
    """Why an iteration's checkpoint must not serve; `words` are for people."""

    name: AlarmName
    words: str


@dataclass(frozen=True, slots=True)
class Reading:
    """Measures of one checkpoint on the same held-out queries as those before it; NaN where nobody measured.

    Attributes:
        name: Of the checkpoint, for people.
        empty_rate: Share of queries without results.
        drift: Mean embedding distance of query and rewrite.
        distinct_2: Distinct pairs of words among as many of its rewrites as `distinct` draws.
        novelty: Share of rewrites that the checkpoint before did not give; NaN for the first.
    """

    name: str
    empty_rate: float
    drift: float
    distinct_2: float
    novelty: float


@dataclass(frozen=True, slots=True)
class DetectorLimits:
    """Limits, 0 to 1 but `max_drift_rise` (0 to 2).

    Attributes:
        max_empty_rise: Of the share of queries without results, over the first reading.
        max_drift_rise: Of the drift, over the first reading.
        max_variety_loss: Share of the first reading's `distinct_2` that may be lost.
        min_novelty: Below it a checkpoint repeats the one before, if novelty also fell.

    Raises:
        SettingError: One of them is out of its limits.
    """

    max_empty_rise: float = 0.05
    max_drift_rise: float = 0.1
    max_variety_loss: float = 0.3
    min_novelty: float = 0.1

    def __post_init__(self) -> None:
        for each in fields(self):
            high = 2 if each.name == "max_drift_rise" else 1
            if not 0 <= getattr(self, each.name) <= high:
                raise SettingError(f"{each.name} is {getattr(self, each.name)}, and must be from 0 to {high}")


def find_alarms(readings: Sequence[Reading], limits: DetectorLimits) -> tuple[Alarm, ...]:
    """Returns what is wrong with the last checkpoint.

    Args:
        readings: The untuned model first, then what served after it, the candidate last. With fewer than two there is
            nothing to compare.
        limits: How much worse is an alarm.
    """
    if len(readings) < 2:
        return ()
    found = (_empty(readings, limits), _drift(readings, limits), _collapse(readings, limits))
    return tuple(each for each in found if each is not None)


def _empty(readings: Sequence[Reading], limits: DetectorLimits) -> Alarm | None:
    first, last = readings[0], readings[-1]
    if not last.empty_rate - first.empty_rate > limits.max_empty_rise:
        return None
    words = (
        f"{percent(last.empty_rate)} of the queries of {last.name} have no results, of {first.name} "
        f"{percent(first.empty_rate)}; the limit is {percent(limits.max_empty_rise)} more"
    )
    return Alarm(AlarmName.EMPTY_RESULTS, words)


def _drift(readings: Sequence[Reading], limits: DetectorLimits) -> Alarm | None:
    first, last = readings[0], readings[-1]
    if not last.drift - first.drift > limits.max_drift_rise:
        return None
    words = (
        f"rewrites of {last.name} are {decimal(last.drift)} from their queries, of {first.name} "
        f"{decimal(first.drift)}; the limit is {decimal(limits.max_drift_rise)} more"
    )
    return Alarm(AlarmName.SEMANTIC_DRIFT, words)


def _collapse(readings: Sequence[Reading], limits: DetectorLimits) -> Alarm | None:
    """Variety lost since the first; or one that repeats the checkpoint before it with less variety and novelty.

    A loop that converges also repeats itself, but does not lose variety.
    """
    first, before, last = readings[0], readings[-2], readings[-1]
    if last.distinct_2 < (1 - limits.max_variety_loss) * first.distinct_2:
        words = (
            f"{percent(last.distinct_2)} of the pairs of words in rewrites of {last.name} are distinct, of "
            f"{first.name} {percent(first.distinct_2)}; at most {percent(limits.max_variety_loss)} of it may be lost"
        )
        return Alarm(AlarmName.LOOP_COLLAPSE, words)
    falls = last.distinct_2 < before.distinct_2 and last.novelty < before.novelty
    if falls and not math.isnan(last.novelty) and last.novelty < limits.min_novelty:
        words = (
            f"{percent(last.novelty)} of the rewrites of {last.name} are new beside {before.name}, at least "
            f"{percent(limits.min_novelty)} are needed while novelty and variety both fall"
        )
        return Alarm(AlarmName.LOOP_COLLAPSE, words)
    return None
