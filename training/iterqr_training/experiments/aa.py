"""A/A: does the test reject as often as it says where there is nothing to find?

Users of one arm are split into random halves again and again and tested against each other. Given the users, the splits
are independent draws, so rejections are binomial and p-values should be uniform.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from iterqr_training.errors import SettingError
from iterqr_training.experiments.estimate import ALPHA, UNDEFINED, Estimate
from iterqr_training.experiments.intervals import delta_test
from iterqr_training.experiments.metrics import METRICS, Metric
from iterqr_training.experiments.user_sums import UserSums

SPLITS = 200
_FALSE_ALARMS = 0.01  # of right tests, over all metrics together: 5% for each would cry wolf
MIN_USERS = 20


@dataclass(frozen=True, slots=True)
class AaResult:
    """One metric over all splits.

    Args:
        defined: Splits on which the test is defined; on others nobody ordered.
        rejections: Their share with p < alpha, with the exact binomial interval (Clopper and Pearson).
        confidence: Of that interval; the wider, the more metrics are tested.
        holds: Whether alpha is in that interval.
        uniform_p: P-value of a Kolmogorov-Smirnov test of the p-values against uniform. A metric with few distinct
            values has few distinct p-values, which this sees; `holds` decides.
        p_values: Of the splits, ascending.
    """

    metric: Metric
    splits: int
    defined: int
    alpha: float
    rejections: Estimate
    confidence: float
    holds: bool
    uniform_p: float
    p_values: tuple[float, ...]


def aa_test(
    users: UserSums,
    *,
    seed: int,
    splits: int = SPLITS,
    alpha: float = ALPHA,
    metrics: Sequence[Metric] = METRICS,
) -> tuple[AaResult, ...]:
    """Splits users into random halves and tests each metric of each split.

    Raises:
        SettingError: There are fewer than 20 users, or less than one split.
    """
    if len(users) < MIN_USERS:
        raise SettingError(f"aa: needs at least {MIN_USERS} users in control, not {len(users)}")
    if splits < 1:
        raise SettingError(f"aa: needs 1 split or more, not {splits}")
    generator = np.random.default_rng(seed)
    p_values: dict[str, list[float]] = {metric.name: [] for metric in metrics}
    for _ in range(splits):
        order = generator.permutation(len(users))
        half = len(users) // 2
        one, other = users.take(order[:half]), users.take(order[half:])
        for metric in metrics:
            p_values[metric.name].append(delta_test(one, other, metric).p_value)
    confidence = 1 - _FALSE_ALARMS / len(metrics)
    return tuple(_result(metric, p_values[metric.name], alpha, confidence) for metric in metrics)


def _result(metric: Metric, p_values: Sequence[float], alpha: float, confidence: float) -> AaResult:
    defined = sorted(p for p in p_values if not np.isnan(p))
    rejected = sum(p < alpha for p in defined)
    rejections, holds, uniform_p = UNDEFINED, False, np.nan
    if defined:
        interval = stats.binomtest(rejected, len(defined)).proportion_ci(confidence, method="exact")
        rejections = Estimate(rejected / len(defined), float(interval.low), float(interval.high))
        holds = bool(interval.low <= alpha <= interval.high)
        uniform_p = float(stats.kstest(defined, "uniform").pvalue)
    return AaResult(
        metric, len(p_values), len(defined), alpha, rejections, confidence, holds, uniform_p, tuple(defined)
    )
