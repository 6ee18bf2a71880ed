"""How good rewrites are by themselves, whatever the fusion: what a prompt is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from iterqr_benchmarks.evaluation.comparison import CUTOFF
from iterqr_benchmarks.evaluation.ranking import precision_at
from iterqr_benchmarks.tuning.gather import Gathered


@dataclass(frozen=True, slots=True)
class RewriteQuality:
    """Means over queries.

    `original`: precision@10 of the query as typed. `rewrite`: of its rewrites, averaged within a query; 0 for a query
    without any. `best`: of the best of query and rewrites, what a perfect choice among them would reach.
    `rewrites`: how many a query has.
    """

    original: float
    rewrite: float
    best: float
    rewrites: float


def rewrite_quality(gathered: Sequence[Gathered]) -> RewriteQuality:
    """Returns the quality of all queries' rewrites.

    Raises:
        ValueError: There are no queries.
    """
    if not gathered:
        raise ValueError("gathered: must not be empty")
    original = [_precision(each, 0) for each in gathered]
    windows = [[_precision(each, number) for number in range(1, len(each.rewrites) + 1)] for each in gathered]
    return RewriteQuality(
        original=_mean(original),
        rewrite=_mean([_mean(precisions) if precisions else 0.0 for precisions in windows]),
        best=_mean([max([typed, *precisions]) for typed, precisions in zip(original, windows, strict=True)]),
        rewrites=_mean([float(len(precisions)) for precisions in windows]),
    )


def _precision(gathered: Gathered, number: int) -> float:
    """Of the query as typed (0) or of a rewrite (from 1)."""
    window = gathered.rewrites[number - 1].window if number else gathered.original
    return precision_at(CUTOFF, [hit.object_id for hit in window], gathered.relevant)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
