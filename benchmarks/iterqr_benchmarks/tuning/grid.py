"""Measures every combination of fusion settings on what was gathered."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from iterqr_benchmarks.evaluation.comparison import DEEP_CUTOFF, Comparison, RankedPair, compare
from iterqr_benchmarks.tuning.fusion import FusionSettings, fuse
from iterqr_benchmarks.tuning.gather import Gathered

REWRITE_WEIGHTS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 1.0, 1.5)
RANK_CONSTANTS = (1, 5, 10, 20, 60)
WINDOW_SIZES = (10, 20, 50, 100)
MAX_HARM_RATE = 0.05


@dataclass(frozen=True, slots=True)
class GridPoint:
    """One combination and what it does to the queries."""

    settings: FusionSettings
    comparison: Comparison


def settings_grid() -> Iterator[FusionSettings]:
    """All combinations; the original's weight is 1, as only the ratio matters."""
    for weight, constant, window in itertools.product(REWRITE_WEIGHTS, RANK_CONSTANTS, WINDOW_SIZES):
        yield FusionSettings(1.0, weight, constant, window)


def measure(gathered: Sequence[Gathered], settings: FusionSettings, *, seed: int) -> GridPoint:
    """Returns what one combination does. Plain search is the original's window, cut as deep as recall looks."""
    return GridPoint(settings, compare([_pair(each, settings) for each in gathered], seed=seed))


def choose(points: Sequence[GridPoint], *, max_harm_rate: float = MAX_HARM_RATE) -> GridPoint | None:
    """Returns the point with the highest precision@10 that harms at most the given share of queries.

    Of equal ones the first that harms least, then has the smaller rewrite weight, then the smaller window. None if
    every point harms more.
    """
    allowed = [point for point in points if point.comparison.harm_rate <= max_harm_rate]
    return min(allowed, key=_preference, default=None)


def _preference(point: GridPoint) -> tuple[float, float, float, int]:
    gain = round(point.comparison.precision_gain.mean, 6)
    return -gain, point.comparison.harm_rate, point.settings.rewrite_weight, point.settings.window_size


def _pair(gathered: Gathered, settings: FusionSettings) -> RankedPair:
    fused = fuse(gathered.original, [each.window for each in gathered.rewrites], settings)
    return RankedPair(
        kind=gathered.kind,
        plain=tuple(hit.object_id for hit in gathered.original[:DEEP_CUTOFF]),
        channel=tuple(fused[:DEEP_CUTOFF]),
        relevant=gathered.relevant,
    )
