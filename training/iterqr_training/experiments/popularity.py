"""Popularity bias: how many unclicked rewrites are good ones that too few users saw?

A rewrite is either good or not, and the clicks on its hits are Poisson with a rate for each examined hit that is higher
for good ones. Share of good rewrites by band and both rates are fitted by expectation maximisation (Dempster, Laird and
Rubin 1977). Examination is that of the position-based model (Craswell et al., WSDM 2008), which attribution applies.
What is estimated is P(good | no click, examination), by Bayes from P(no click | good) = exp(-rate x examined). Where
most rewrites were examined less than once, clicks hardly tell the two kinds apart; the rates then come from the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iterqr_training.experiments.frequency_bands import Band
from iterqr_training.experiments.rewrite_exposure import RewriteExposure
from iterqr_training.experiments.user_sums import Floats

_MAX_ROUNDS = 2_000
_TOLERANCE = 1e-7


@dataclass(frozen=True, slots=True)
class BandFalseNegatives:
    """Of one band of queries.

    Args:
        examined: Rewrites of which a hit was examined at all, in expectation; only they are judged.
        unexamined: Rewrites that no user can have clicked: their label is missing, not negative.
        clicked: Of the examined ones.
        good_share: Estimated share of good ones among the examined; NaN if there are none.
        no_click_if_good: Mean probability that a good rewrite with this exposure gets no click.
        false_negatives: Estimated number of good ones among the unclicked.
        true_false_negatives: Their number by the truth table, as far as it goes; None without it.
        error: Estimated less true share of good ones among the unclicked that the truth table has.
    """

    band: Band
    examined: int
    unexamined: int
    clicked: int
    good_share: float
    no_click_if_good: float
    false_negatives: float
    true_false_negatives: int | None
    error: float | None

    @property
    def unclicked(self) -> int:
        """Examined, but never clicked."""
        return self.examined - self.clicked


@dataclass(frozen=True, slots=True)
class FalseNegatives:
    """The estimate.

    Args:
        good_rate: Clicks for each examined hit of a good rewrite.
        other_rate: The same of another.
        two_kinds: Whether clicks show two kinds of rewrites at all: two rates explain them better than one, by the
            Bayesian information criterion (Schwarz 1978). If not, the estimate is a guess.
    """

    good_rate: float
    other_rate: float
    two_kinds: bool
    bands: tuple[BandFalseNegatives, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """`posterior`: probability that each rewrite is good; `prior`: by band."""

    good_rate: float
    other_rate: float
    two_kinds: bool
    prior: Floats
    posterior: Floats


def false_negatives(
    exposure: RewriteExposure, truth: Mapping[tuple[str, str], bool] | None = None
) -> FalseNegatives | None:
    """Estimates the false negatives of click labels.

    Args:
        exposure: Of all rewrites.
        truth: Whether a rewrite is good, by normalized query and text; None if nobody knows.

    Returns:
        None if no rewrite was clicked: then nothing is known of what good ones look like.
    """
    seen = exposure.examined > 0
    if not exposure.clicks[seen].sum() > 0:
        return None
    order = list(Band)
    places = np.array([order.index(Band(band)) for band in exposure.bands])
    fit = _fit(places[seen], exposure.examined[seen], exposure.clicks[seen], len(order))
    posterior = np.full(len(exposure), np.nan)
    posterior[seen] = fit.posterior
    known = _known(exposure, truth)
    bands = []
    for place, band in enumerate(order):
        mine = places == place
        judged = mine & seen
        unclicked = judged & (exposure.clicks <= 0)
        told = unclicked & (known >= 0)
        any_told = truth is not None and bool(told.any())
        bands.append(
            BandFalseNegatives(
                band,
                examined=int(judged.sum()),
                unexamined=int((mine & ~seen).sum()),
                clicked=int(judged.sum() - unclicked.sum()),
                good_share=float(fit.prior[place]) if judged.any() else math.nan,
                no_click_if_good=float(np.exp(-fit.good_rate * exposure.examined[judged]).mean())
                if judged.any()
                else math.nan,
                false_negatives=float(posterior[unclicked].sum()),
                true_false_negatives=int((known[told] == 1).sum()) if any_told else None,
                error=float(posterior[told].mean() - known[told].mean()) if any_told else None,
            )
        )
    return FalseNegatives(fit.good_rate, fit.other_rate, fit.two_kinds, tuple(bands))


def _fit(bands: npt.NDArray[np.intp], examined: Floats, clicks: Floats, band_count: int) -> _Fit:
    """Two Poisson rates for all bands, a share of good rewrites for each.

    A share starts with one good and one other rewrite that nobody saw, so that a band of few rewrites does not end at
    0 or 1.
    """
    # Most rewrites of the tail have one of few histories: what is equal is computed once.
    distinct, places, sizes = np.unique(
        np.column_stack([bands, examined, clicks]), axis=0, return_inverse=True, return_counts=True
    )
    band, seen, clicked = distinct[:, 0].astype(np.intp), distinct[:, 1], distinct[:, 2]
    band_sizes = np.bincount(bands, minlength=band_count)
    rate = clicks.sum() / examined.sum()
    good_rate, other_rate = 2 * rate, rate / 4
    prior = np.full(band_count, 0.5)
    posterior = np.zeros(len(distinct))
    for _ in range(_MAX_ROUNDS):
        evidence = clicked * math.log(good_rate / other_rate) - (good_rate - other_rate) * seen
        logit = np.log(prior[band] / (1 - prior[band])) + evidence
        posterior = 1 / (1 + np.exp(-np.clip(logit, -50, 50)))
        before = np.array([good_rate, other_rate, *prior])
        good, other = posterior * sizes, (1 - posterior) * sizes
        good_rate = float((good @ clicked) / (good @ seen))
        # A rate of exactly 0 would make one noisy click a proof.
        other_rate = max(float((other @ clicked) / (other @ seen)), 1e-3 * good_rate)
        prior = (np.bincount(band, weights=good, minlength=band_count) + 1) / (band_sizes + 2)
        if np.abs(np.array([good_rate, other_rate, *prior]) - before).max() < _TOLERANCE:
            break
    good_likelihood = clicked * math.log(good_rate) - good_rate * seen
    other_likelihood = clicked * math.log(other_rate) - other_rate * seen
    two = np.logaddexp(np.log(prior[band]) + good_likelihood, np.log(1 - prior[band]) + other_likelihood)
    one = clicked * math.log(rate) - rate * seen
    more_parameters = 1 + int((band_sizes > 0).sum())
    two_kinds = bool(sizes @ (two - one) > more_parameters / 2 * math.log(len(examined)))
    return _Fit(good_rate, other_rate, two_kinds, prior, posterior[places.ravel()])


def _known(exposure: RewriteExposure, truth: Mapping[tuple[str, str], bool] | None) -> npt.NDArray[np.int8]:
    """1 good, 0 not, -1 not told."""
    told = truth or {}
    keys = zip(exposure.queries, exposure.texts, strict=True)
    return np.array([int(told[key]) if key in told else -1 for key in keys], dtype=np.int8)
