"""Paired bootstrap: how sure a mean difference is, given that queries differ more than the two systems do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean difference and the percentile interval around it."""

    mean: float
    low: float
    high: float
    confidence: float = CONFIDENCE


def paired_bootstrap(differences: Sequence[float], *, seed: int, resamples: int = RESAMPLES) -> Interval:
    """Returns the mean of paired differences with its interval (percentile method, `CONFIDENCE`).

    Args:
        differences: One for each query: measure with the channel less measure without it.
        seed: Of the resampling; the same seed gives the same interval.
        resamples: How often as many queries are drawn with replacement.

    Raises:
        ValueError: There are no differences.
    """
    if not differences:
        raise ValueError("differences: must not be empty")
    values = np.asarray(differences, dtype=np.float64)
    drawn = np.random.default_rng(seed).integers(0, len(values), size=(resamples, len(values)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values[drawn].mean(axis=1), [tail, 1 - tail])
    return Interval(mean=float(values.mean()), low=float(low), high=float(high))
