"""From a confidence to the probability that the rewrite is good: fitted on validation, judged on held-out queries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit

from iterqr_training.experiments.user_sums import Floats

Method = Literal["isotonic", "platt"]
BINS = 10
ISOTONIC_FROM = 200  # pairs; below, isotonic regression follows noise (Niculescu-Mizil and Caruana, ICML 2005)
_MAX_POINTS = 16  # of a policy's curve


@dataclass(frozen=True, slots=True)
class Calibration:
    """A function in straight pieces that never falls. `points`: confidence and probability, at least one.

    `pairs`: rewrites that it was fitted to; `good`: of these.
    """

    method: Method
    points: tuple[tuple[float, float], ...]
    pairs: int
    good: int

    def at(self, confidences: Floats) -> Floats:
        """Returns the probabilities."""
        x, y = zip(*self.points, strict=True)
        probabilities: Floats = np.interp(confidences, x, y)
        return probabilities


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Rewrites whose probability is said to lie in a bin: what is said in the mean, and how many are good."""

    low: float
    high: float
    rewrites: int
    said: float
    good_share: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """How far what is said is from what is so. NaN without rewrites.

    `error`: expected calibration error (Guo et al., ICML 2017). `brier`: mean squared error.
    """

    bins: tuple[ReliabilityBin, ...]
    error: float
    brier: float


def fit_calibration(confidences: Floats, good: Floats, method: Method | None = None) -> Calibration | None:
    """Fits a calibration; None if all rewrites are good, or none is: there is nothing to learn.

    Args:
        confidences: 0 to 1, shape (rewrites,).
        good: 1 or 0, the same shape.
        method: None takes isotonic regression from `ISOTONIC_FROM` rewrites on, else Platt's logistic function.
    """
    total = int(good.sum())
    if not 0 < total < len(good):
        return None
    chosen: Method = method or ("isotonic" if len(good) >= ISOTONIC_FROM else "platt")
    places = np.unique(np.quantile(confidences, np.linspace(0, 1, _MAX_POINTS)).round(4))
    probabilities = _isotonic(confidences, good, places) if chosen == "isotonic" else _platt(confidences, good, places)
    # Rounding up and down must not make the curve fall.
    rising = np.maximum.accumulate(np.clip(probabilities, 0.0, 1.0).round(4))
    return Calibration(chosen, tuple(zip(places.tolist(), rising.tolist(), strict=True)), len(good), total)


def reliability(probabilities: Floats, good: Floats) -> Reliability:
    """Returns the reliability in `BINS` bins of equal width; empty bins are left out."""
    count = len(probabilities)
    if not count:
        return Reliability((), math.nan, math.nan)
    place = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    bins = []
    for number in range(BINS):
        mine = place == number
        if mine.any():
            said, share = float(probabilities[mine].mean()), float(good[mine].mean())
            bins.append(ReliabilityBin(number / BINS, (number + 1) / BINS, int(mine.sum()), said, share))
    error = sum(each.rewrites * abs(each.said - each.good_share) for each in bins) / count
    return Reliability(tuple(bins), error, float(((probabilities - good) ** 2).mean()))


def _isotonic(confidences: Floats, good: Floats, places: Floats) -> Floats:
    x, first = np.unique(confidences, return_inverse=True)
    weights = np.bincount(first).astype(np.float64)
    means = np.bincount(first, weights=good) / weights
    fitted: Floats = isotonic_regression(means, weights=weights).x
    return np.interp(places, x, fitted)


def _platt(confidences: Floats, good: Floats, places: Floats) -> Floats:
    """Platt (1999) on the logit of the confidence, with his targets; the slope is held at 0 or above."""
    positive = good.sum()
    targets = np.where(good > 0, (positive + 1) / (positive + 2), 1 / (len(good) - positive + 2))

    def logit(values: Sequence[float] | Floats) -> Floats:
        clipped = np.clip(values, 1e-6, 1 - 1e-6)
        odds: Floats = np.log(clipped / (1 - clipped))
        return odds

    x = logit(confidences)

    def loss(parameters: Floats) -> float:
        z = parameters[0] * x + parameters[1]
        return float((np.logaddexp(0, z) - targets * z).sum())

    found = minimize(loss, np.array([1.0, 0.0]), bounds=[(0.0, None), (None, None)])
    probabilities: Floats = expit(found.x[0] * logit(places) + found.x[1])
    return probabilities
