"""A number with its interval, and the two ways from standard errors to it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from iterqr_training.experiments.user_sums import Floats

ALPHA = 0.05  # of tests; intervals cover 1 - ALPHA


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its interval. All are NaN where the data do not define them."""

    value: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """Of the interval."""
        return self.high - self.low

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval is on one side of 0; False if it is not defined."""
        return self.low > 0 or self.high < 0


UNDEFINED = Estimate(math.nan, math.nan, math.nan)


def normal_estimate(value: float, standard_error: float, *, alpha: float = ALPHA) -> Estimate:
    """The interval of a value with normal error."""
    radius = normal_quantile(1 - alpha / 2) * standard_error
    return Estimate(value, value - radius, value + radius)


def normal_lift(control: float, treatment: float, control_error: float, treatment_error: float) -> Estimate:
    """Relative lift of independent arms, normal on the log scale, so that it cannot fall below -1.

    UNDEFINED unless both values are above 0.
    """
    if not (control > 0 and treatment > 0):
        return UNDEFINED
    logarithm = normal_estimate(
        math.log(treatment / control), math.hypot(control_error / control, treatment_error / treatment)
    )
    return Estimate(math.expm1(logarithm.value), math.expm1(logarithm.low), math.expm1(logarithm.high))


def two_sided_p(value: float, standard_error: float) -> float:
    """P-value of a normal test against 0; NaN if the standard error is 0 or undefined."""
    return float(2 * stats.norm.sf(abs(value) / standard_error)) if standard_error > 0 else math.nan


def percentile_estimate(value: float, resampled: Floats, *, alpha: float = ALPHA) -> Estimate:
    """The percentile interval of resampled values; UNDEFINED if the value or one of them is."""
    if not (math.isfinite(value) and np.isfinite(resampled).all()):
        return UNDEFINED
    low, high = np.quantile(resampled, [alpha / 2, 1 - alpha / 2])
    return Estimate(value, float(low), float(high))


def normal_quantile(probability: float) -> float:
    """Of the standard normal distribution."""
    return float(stats.norm.ppf(probability))


def mean_error(values: Floats) -> float:
    """Standard error of the mean of independent values; NaN for fewer than two."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan
