"""Reading an experiment every day without finding effects that are not there: an always-valid confidence sequence.

Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences"
(2021), theorem 2.2: the normal mixture boundary (the mixture SPRT of Johari et al. turned round) around an
asymptotically normal estimate. Time is information, one over the variance of the estimate: users come back, so days
are not independent, but the differences that information adds are (Scharfstein, Tsiatis and Robins 1997), as long as
the metric is an average that days make more exact. Sums by visitor grow with the days, so they are read per visitor and
day.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from iterqr_training.experiments.estimate import ALPHA, Estimate
from iterqr_training.experiments.intervals import delta_test
from iterqr_training.experiments.metrics import (
    ORDERS_PER_PAGE,
    ORDERS_PER_QUERY,
    ORDERS_PER_VISITOR,
    VALUE_PER_VISITOR,
    Metric,
)
from iterqr_training.experiments.user_sums import Column, UserSums, sum_by_user

PLANNED_DAYS = 14  # the sequence is tightest about then
SEQUENTIAL_METRICS = (ORDERS_PER_VISITOR, ORDERS_PER_QUERY, ORDERS_PER_PAGE, VALUE_PER_VISITOR)
# Before an estimate is about normal, no boundary for normal ones holds.
_MIN_USERS = 50
_MIN_ORDERS = 20


@dataclass(frozen=True, slots=True)
class Reading:
    """All that was known at the end of a day.

    Args:
        day: UTC.
        days: Since the experiment began, this one included.
    """

    day: date
    days: int
    control: UserSums
    treatment: UserSums


@dataclass(frozen=True, slots=True)
class DayEstimate:
    """The difference as known at the end of a day, with the always-valid interval."""

    day: date
    users: int
    difference: Estimate


@dataclass(frozen=True, slots=True)
class ConfidenceSequence:
    """Of one metric.

    Args:
        daily: Whether values are per visitor and day, not per visitor.
        days: Those on which there was enough to say something.
        first_crossing: The day on which the interval first left 0 out; None if it never did.
    """

    metric: Metric
    daily: bool
    days: tuple[DayEstimate, ...]
    first_crossing: date | None


def daily_readings(control: pa.Table, treatment: pa.Table) -> tuple[Reading, ...]:
    """What would have been read at the end of each day (UTC) from the first search to the last.

    Args:
        control: Rows of `QUERY_OUTCOMES` with client ids; so is treatment.
        treatment: At least one row in each.
    """
    times = [pc.min_max(arm["timestamp"]).as_py() for arm in (control, treatment)]
    first = min(each["min"] for each in times).date()
    last = max(each["max"] for each in times).date()
    readings = []
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        end = pa.scalar(datetime.combine(day + timedelta(days=1), time(), UTC), control["timestamp"].type)
        until = [sum_by_user(arm.filter(pc.less(arm["timestamp"], end))) for arm in (control, treatment)]
        readings.append(Reading(day, number + 1, until[0], until[1]))
    return tuple(readings)


def confidence_sequence(
    readings: Sequence[Reading], metric: Metric, *, alpha: float = ALPHA, planned_days: int = PLANNED_DAYS
) -> ConfidenceSequence:
    """The metric's difference day by day; all intervals hold at the same time with probability 1 - alpha.

    The mixture is set by the first day that says something, so that later data cannot choose it.
    """
    daily = metric.denominator == Column.USERS
    days: list[DayEstimate] = []
    mixture = math.nan
    for reading in readings:
        arms = (reading.control, reading.treatment)
        if min(map(len, arms)) < _MIN_USERS or min(arm.total(Column.ORDERS) for arm in arms) < _MIN_ORDERS:
            continue
        test = delta_test(reading.control, reading.treatment, metric)
        scale = reading.days if daily else 1
        error = test.standard_error / scale
        if not error > 0:
            continue
        information = 1 / error**2
        if math.isnan(mixture):
            mixture = mixture_variance(information * planned_days / reading.days, alpha=alpha)
        radius = sequence_radius(information, mixture, alpha=alpha)
        value = test.difference.value / scale
        days.append(DayEstimate(reading.day, sum(map(len, arms)), Estimate(value, value - radius, value + radius)))
    crossing = next((each.day for each in days if each.difference.excludes_zero), None)
    return ConfidenceSequence(metric, daily, tuple(days), crossing)


def sequence_radius(information: float, mixture: float, *, alpha: float = ALPHA) -> float:
    """Half the width of the confidence sequence (theorem 2.2 with t / variance as information).

    Args:
        information: One over the variance of the estimate, above 0.
        mixture: Variance of the normal mixture (rho squared, in the unit of the estimate squared), above 0.
        alpha: Probability that the sequence ever misses.
    """
    grown = information * mixture + 1
    return math.sqrt(2 * grown / (information**2 * mixture) * math.log(math.sqrt(grown) / alpha))


def mixture_variance(information: float, *, alpha: float = ALPHA) -> float:
    """The mixture that makes the sequence tightest at this information (the paper's appendix, approximately)."""
    return (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / information
