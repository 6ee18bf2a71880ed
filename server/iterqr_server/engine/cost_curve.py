"""What a step costs by its rows, measured on the machine at start and corrected while it runs."""

from __future__ import annotations

import statistics
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

CALIBRATION_BUDGET_S = 1.5
MAX_RUNS = 5
_MIN_POINTS = 2


@dataclass(frozen=True, slots=True)
class CostPoint:
    """A step of `rows` rows takes `ms` milliseconds."""

    rows: int
    ms: float


@dataclass(frozen=True, slots=True)
class CostCurve:
    """Milliseconds of a step by its rows: points joined by straight lines, never falling.

    No rows, no step: nothing. Fewer rows than the first point has cost what it costs. Past the last point the curve
    goes on as steeply as its last line, or as its average if that is steeper: a last line made flat by noise must not
    make rows look free.

    Raises:
        ValueError: there are no points, rows do not rise, or milliseconds fall or are not positive.
    """

    points: tuple[CostPoint, ...]

    def __post_init__(self) -> None:
        if not self.points:
            raise ValueError("points: must not be empty")
        if self.points[0].rows < 1 or self.points[0].ms <= 0:
            raise ValueError(f"points: rows and milliseconds must be positive, got {self.points[0]}")
        for before, after in pairwise(self.points):
            if after.rows <= before.rows or after.ms < before.ms:
                raise ValueError(f"points: rows must rise and milliseconds must not fall, got {before} then {after}")

    def ms(self, rows: int) -> float:
        """Returns the milliseconds of a step of `rows` rows."""
        if rows <= 0:
            return 0.0
        first, last = self.points[0], self.points[-1]
        if rows <= first.rows:
            return first.ms
        if rows > last.rows:
            return last.ms + (rows - last.rows) * self._last_slope
        index = bisect_left(self.points, rows, key=lambda point: point.rows)
        before, after = self.points[index - 1], self.points[index]
        return before.ms + (after.ms - before.ms) * (rows - before.rows) / (after.rows - before.rows)

    def marginal_ms(self, rows: int, more: int) -> float:
        """Returns what `more` rows add to a step that has `rows` already."""
        return self.ms(rows + more) - self.ms(rows)

    @property
    def row_ms(self) -> float:
        """What one more row adds, on average over the measured range."""
        first, last = self.points[0], self.points[-1]
        return (last.ms - first.ms) / (last.rows - first.rows) if last.rows > first.rows else first.ms / first.rows

    @property
    def _last_slope(self) -> float:
        if len(self.points) == 1:
            return self.row_ms
        before, last = self.points[-2:]
        return max((last.ms - before.ms) / (last.rows - before.rows), self.row_ms)


def calibrate(
    run_step: Callable[[int], float],
    max_step_rows: int,
    *,
    budget_s: float = CALIBRATION_BUDGET_S,
    max_runs: int = MAX_RUNS,
) -> CostCurve:
    """Measures steps of 2, 4, 8, ... rows up to `max_step_rows` and returns the curve through their medians.

    `run_step(rows)` runs one step and returns its seconds. Each size runs once to warm up and then up to `max_runs`
    times, as its share of the budget allows, at least once. Sizes that would break the budget are left out when two
    are measured: a slow machine gets a shorter curve, not a long start.
    """
    sizes = calibration_sizes(max_step_rows)
    left_s = budget_s
    measured: list[CostPoint] = []
    for index, rows in enumerate(sizes):
        if len(measured) >= _MIN_POINTS and 2 * measured[-1].ms / 1000 > left_s:
            break
        share_s = left_s / (len(sizes) - index)
        spent_s = run_step(rows)
        runs: list[float] = []
        while not runs or (len(runs) < max_runs and spent_s + runs[-1] <= share_s):
            runs.append(run_step(rows))
            spent_s += runs[-1]
        left_s -= spent_s
        measured.append(CostPoint(rows, statistics.median(runs) * 1000))
    return CostCurve(monotone(measured))


def calibration_sizes(max_step_rows: int) -> tuple[int, ...]:
    """Returns the powers of two from 2 up to `max_step_rows`, and `max_step_rows` itself."""
    sizes = {2, max_step_rows}
    rows = 4
    while rows < max_step_rows:
        sizes.add(rows)
        rows *= 2
    return tuple(sorted(sizes))


def monotone(points: list[CostPoint]) -> tuple[CostPoint, ...]:
    """Returns the nearest points, in least squares, whose milliseconds never fall (pool adjacent violators)."""
    pools: list[tuple[float, int]] = []  # mean milliseconds, points
    for point in points:
        mean, count = point.ms, 1
        while pools and pools[-1][0] > mean:
            other, others = pools.pop()
            mean, count = (mean * count + other * others) / (count + others), count + others
        pools.append((mean, count))
    levels = [mean for mean, count in pools for _ in range(count)]
    return tuple(CostPoint(point.rows, ms) for point, ms in zip(points, levels, strict=True))


class CostCorrection:
    """How much slower than its curve the machine is at present: a busy neighbour, a long past to attend to.

    `factor` is a ratio of exponentially weighted sums, measured over predicted, so that long steps count for more; an
    observation counts as at most `HIGHEST` and at least `LOWEST` times its prediction, and so does the factor.
    """

    LOWEST = 0.25
    HIGHEST = 8.0
    WEIGHT = 0.05

    def __init__(self) -> None:
        self._measured: float | None = None
        self._predicted = 0.0

    @property
    def factor(self) -> float:
        """1 before anything was observed."""
        return 1.0 if self._measured is None else self._measured / self._predicted

    def observe(self, predicted_ms: float, measured_ms: float) -> None:
        """Takes in one step; `predicted_ms` is the curve's own value, positive, without this correction."""
        bounded = min(max(measured_ms, self.LOWEST * predicted_ms), self.HIGHEST * predicted_ms)
        if self._measured is None:  # starts from the curve, which one step must not overrule
            self._measured = self._predicted = predicted_ms
        self._measured += self.WEIGHT * (bounded - self._measured)
        self._predicted += self.WEIGHT * (predicted_ms - self._predicted)
