"""Two arms of different users: the difference of each metric with its intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iterqr_training.errors import SettingError
from iterqr_training.experiments.bootstrap import RESAMPLES, resampled_totals
from iterqr_training.experiments.estimate import (
    Estimate,
    mean_error,
    normal_estimate,
    normal_lift,
    percentile_estimate,
    two_sided_p,
)
from iterqr_training.experiments.metrics import METRICS, Metric, linearised, ratio, ratios
from iterqr_training.experiments.user_sums import Floats, UserSums


@dataclass(frozen=True, slots=True)
class DeltaTest:
    """The normal test beside the bootstrap: where they differ much, the sample is too small for either."""

    difference: Estimate
    lift: Estimate
    standard_error: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric in two arms. Intervals are the bootstrap's; `lift` is relative to control."""

    metric: Metric
    control: Estimate
    treatment: Estimate
    difference: Estimate
    lift: Estimate
    delta: DeltaTest


def compare(
    control: UserSums,
    treatment: UserSums,
    *,
    seed: int,
    metrics: Sequence[Metric] = METRICS,
    resamples: int = RESAMPLES,
) -> tuple[Comparison, ...]:
    """Compares arms of different users, each resampled by itself.

    Raises:
        SettingError: An arm has fewer than two users.
    """
    require_users(control, treatment)
    before = resampled_totals(control.sums, seed=seed, resamples=resamples)
    after = resampled_totals(treatment.sums, seed=seed + 1, resamples=resamples)
    found = []
    for metric in metrics:
        old, new = ratio(control, metric), ratio(treatment, metric)
        olds, news = ratios(before, metric), ratios(after, metric)
        found.append(
            Comparison(
                metric,
                control=percentile_estimate(old, olds),
                treatment=percentile_estimate(new, news),
                difference=percentile_estimate(new - old, news - olds),
                lift=percentile_estimate(relative(old, new), relatives(olds, news)),
                delta=delta_test(control, treatment, metric),
            )
        )
    return tuple(found)


def delta_test(control: UserSums, treatment: UserSums, metric: Metric) -> DeltaTest:
    """The difference of two ratios by the delta method, of arms with different users."""
    old, new = ratio(control, metric), ratio(treatment, metric)
    old_error, new_error = mean_error(linearised(control, metric)), mean_error(linearised(treatment, metric))
    error = math.hypot(old_error, new_error)
    return DeltaTest(
        difference=normal_estimate(new - old, error),
        lift=normal_lift(old, new, old_error, new_error),
        standard_error=error,
        p_value=two_sided_p(new - old, error),
    )


def require_users(control: UserSums, treatment: UserSums) -> None:
    """Checks that there is something to compare.

    Raises:
        SettingError: An arm has fewer than two users.
    """
    for name, users in (("control", control), ("treatment", treatment)):
        if len(users) < 2:
            raise SettingError(f"{name}: an experiment needs at least 2 users in each arm, not {len(users)}")


def relative(control: float, treatment: float) -> float:
    """Relative lift; NaN if control is 0."""
    return treatment / control - 1 if control else math.nan


def relatives(control: Floats, treatment: Floats) -> Floats:
    """The same for each pair of values."""
    quotients: Floats = np.divide(treatment, control, out=np.full(len(control), np.nan), where=control != 0)
    return quotients - 1
