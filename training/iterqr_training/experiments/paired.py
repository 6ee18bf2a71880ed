"""Paired replay: the same users with the same needs and random streams in both arms.

What a user would have done anyway is then the same on both sides and goes away in the difference. Only a simulator can
do this; it shows effects that an unpaired test of the same size cannot.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iterqr_training.experiments.bootstrap import RESAMPLES, resampled_totals
from iterqr_training.experiments.estimate import Estimate, mean_error, percentile_estimate, two_sided_p
from iterqr_training.experiments.intervals import relative, relatives, require_users
from iterqr_training.experiments.metrics import METRICS, Metric, linearised, ratio, ratios
from iterqr_training.experiments.power import users_needed
from iterqr_training.experiments.user_sums import Floats, UserSums


@dataclass(frozen=True, slots=True)
class PairedUsers:
    """The users who are in both arms, in the same order.

    Args:
        only_control: Users of control that treatment lacks, left out; so is the next.
    """

    control: UserSums
    treatment: UserSums
    only_control: int
    only_treatment: int


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """One metric of the same users in both arms. Intervals are by bootstrap of users, each with both of its arms.

    Args:
        correlation: Of the users' linearised values in both arms; NaN if one does not vary.
        narrowing: Width of the interval that the same users would give unpaired, over that of the paired one.
        unpaired_users_per_arm: What an unpaired test would need to find this difference; None if there is none.
    """

    metric: Metric
    control: float
    treatment: float
    difference: Estimate
    lift: Estimate
    standard_error: float
    p_value: float
    correlation: float
    narrowing: float
    unpaired_users_per_arm: int | None


def pair_users(control: UserSums, treatment: UserSums) -> PairedUsers:
    """Keeps the users who are in both arms."""
    _, old, new = np.intersect1d(control.client_ids, treatment.client_ids, assume_unique=True, return_indices=True)
    return PairedUsers(control.take(old), treatment.take(new), len(control) - len(old), len(treatment) - len(new))


def compare_paired(
    pairs: PairedUsers, *, seed: int, metrics: Sequence[Metric] = METRICS, resamples: int = RESAMPLES
) -> tuple[PairedComparison, ...]:
    """Compares the arms of a replay.

    Raises:
        SettingError: There are fewer than two pairs.
    """
    control, treatment = pairs.control, pairs.treatment
    require_users(control, treatment)
    before = resampled_totals(control.sums, seed=seed, resamples=resamples)
    after = resampled_totals(treatment.sums, seed=seed, resamples=resamples)  # the same users as `before`
    independent = resampled_totals(treatment.sums, seed=seed + 1, resamples=resamples)
    found = []
    for metric in metrics:
        old, new = ratio(control, metric), ratio(treatment, metric)
        olds, news = ratios(before, metric), ratios(after, metric)
        difference = percentile_estimate(new - old, news - olds)
        unpaired = percentile_estimate(new - old, ratios(independent, metric) - olds)
        old_values, new_values = linearised(control, metric), linearised(treatment, metric)
        error = mean_error(new_values - old_values)
        found.append(
            PairedComparison(
                metric,
                control=old,
                treatment=new,
                difference=difference,
                lift=percentile_estimate(relative(old, new), relatives(olds, news)),
                standard_error=error,
                p_value=two_sided_p(new - old, error),
                correlation=_correlation(old_values, new_values),
                narrowing=unpaired.width / difference.width if difference.width > 0 else math.nan,
                unpaired_users_per_arm=users_needed(
                    float(old_values.var(ddof=1)), float(new_values.var(ddof=1)), new - old
                ),
            )
        )
    return tuple(found)


def _correlation(one: Floats, other: Floats) -> float:
    if not (one.std() > 0 and other.std() > 0):
        return math.nan
    return float(np.corrcoef(one, other)[0, 1])
