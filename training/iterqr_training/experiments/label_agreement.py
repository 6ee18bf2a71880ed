"""Do labels from clicks agree with labels from meaning? Rare queries have few clicks; meaning is what is left there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iterqr_training.experiments.frequency_bands import Band
from iterqr_training.experiments.rewrite_exposure import RewriteExposure

RELEVANT_SCORE = 0.5


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of click labels with semantic ones; measures are NaN where they are not defined.

    Args:
        band: Of the queries; None for all together.
        rewrites: Judged ones of which a hit was examined.
        kappa: Cohen's (1960): 1 is agreement, 0 what chance gives.
        precision: Share of the clicked that are relevant.
        recall: Share of the relevant that were clicked.
    """

    band: Band | None
    rewrites: int
    clicked: int
    relevant: int
    kappa: float
    precision: float
    recall: float


def label_agreement(exposure: RewriteExposure, scores: Mapping[tuple[str, str], float]) -> tuple[Agreement, ...]:
    """Compares the labels over all judged rewrites and by band.

    Args:
        exposure: Of all rewrites.
        scores: From 0 to 1, by normalized query and text; `RELEVANT_SCORE` or more is relevant.
    """
    keys = zip(exposure.queries, exposure.texts, strict=True)
    judged = np.array([scores.get(key, math.nan) for key in keys])
    usable = np.isfinite(judged) & (exposure.examined > 0)
    clicked, relevant = exposure.clicks > 0, judged >= RELEVANT_SCORE
    found = [_agreement(None, clicked[usable], relevant[usable])]
    for band in Band:
        mine = usable & (exposure.bands == band.value)
        found.append(_agreement(band, clicked[mine], relevant[mine]))
    return tuple(found)


def _agreement(band: Band | None, clicked: npt.NDArray[np.bool_], relevant: npt.NDArray[np.bool_]) -> Agreement:
    count, positive, true = len(clicked), int(clicked.sum()), int(relevant.sum())
    both = int((clicked & relevant).sum())
    observed = float((clicked == relevant).mean()) if count else math.nan
    chance = (positive * true + (count - positive) * (count - true)) / count**2 if count else math.nan
    return Agreement(
        band,
        count,
        positive,
        true,
        kappa=(observed - chance) / (1 - chance) if count and chance < 1 else math.nan,
        precision=both / positive if positive else math.nan,
        recall=both / true if true else math.nan,
    )
