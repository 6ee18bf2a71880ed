"""Weighted reciprocal rank fusion as the plugin does it, ties included (Cormack, Clarke and Büttcher, SIGIR 2009)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from iterqr_training.evaluate.fusion import WindowHit


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """How windows are fused. Only the ratio of the two weights matters to the order."""

    original_weight: float
    rewrite_weight: float
    rank_constant: int
    window_size: int


def fuse(original: Sequence[WindowHit], rewrites: Sequence[Sequence[WindowHit]], settings: FusionSettings) -> list[str]:
    """Returns the ids of every document of any window, best first; equal scores by best rank, then `seq_no`.

    Args:
        original: Window of the query as typed, best first.
        rewrites: A window for each rewrite, in the reply's order.
        settings: Windows are cut to `window_size` before.
    """
    score: dict[WindowHit, float] = {}
    best_rank: dict[WindowHit, int] = {}
    weights = [settings.original_weight, *(settings.rewrite_weight for _ in rewrites)]
    for window, weight in zip([original, *rewrites], weights, strict=True):
        for rank, hit in enumerate(window[: settings.window_size], start=1):
            score[hit] = score.get(hit, 0.0) + weight / (settings.rank_constant + rank)
            best_rank[hit] = min(rank, best_rank.get(hit, rank))
    ordered = sorted(score, key=lambda hit: (-score[hit], best_rank[hit], hit.seq_no))
    return [hit.object_id for hit in ordered]
