"""Whether a series of samples grows: Mann-Kendall's test for a trend, Theil and Sen's slope for its size.

Both look only at how pairs of samples compare, so single outliers (a sample in the middle of a merge) mean little, and
nothing is assumed about how values are spread. Kendall, Rank Correlation Methods (1975); Sen (1968).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

Point = tuple[float, float]
"""Seconds since the start, and a value."""

SIGNIFICANT = 0.01


@dataclass(frozen=True, slots=True)
class Trend:
    """`growth`: of the fitted line from the first to the last sample. `p_value`: of so much rising by chance."""

    samples: int
    level: float
    growth: float
    p_value: float

    def is_growth(self, tolerance: float) -> bool:
        """Whether the series rises beyond chance and by more than is tolerated."""
        return self.p_value < SIGNIFICANT and self.growth > tolerance


def trend(points: Sequence[Point]) -> Trend:
    """The trend of a series in order of time; of less than two points there is none."""
    values = [value for _, value in points]
    if len(points) < 2:
        return Trend(len(points), values[0] if values else 0.0, 0.0, 1.0)
    slopes = [(later - value) / (then - at) for (at, value), (then, later) in combinations(points, 2) if then > at]
    growth = median(slopes) * (points[-1][0] - points[0][0]) if slopes else 0.0
    return Trend(len(points), median(values), growth, _rising_by_chance(values))


def _rising_by_chance(values: Sequence[float]) -> float:
    """One-sided p-value of Mann-Kendall's S, by its normal approximation, corrected for ties and continuity."""
    n = len(values)
    s = sum((later > value) - (later < value) for value, later in combinations(values, 2))
    ties = sum(t * (t - 1) * (2 * t + 5) for t in Counter(values).values())
    variance = (n * (n - 1) * (2 * n + 5) - ties) / 18
    if variance <= 0:
        return 1.0
    z = (s - (s > 0) + (s < 0)) / math.sqrt(variance)
    return 0.5 * math.erfc(z / math.sqrt(2))
