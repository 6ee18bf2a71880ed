"""Bootstrap over queries: the values of a system and the differences between two, by the same draws."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from iterqr_training.evaluate.query_sums import QuerySums
from iterqr_training.experiments.bootstrap import RESAMPLES, resampled_totals
from iterqr_training.experiments.estimate import ALPHA, UNDEFINED, Estimate
from iterqr_training.experiments.user_sums import Floats

_MOSTLY = 0.95  # of the resamples must define a measure for it to have an interval
Chosen = npt.NDArray[np.bool_]


def estimates(sums: QuerySums, chosen: Chosen, *, seed: int, resamples: int = RESAMPLES) -> Mapping[str, Estimate]:
    """Returns each measure's value over the chosen queries with its percentile interval.

    Args:
        sums: Of a system.
        chosen: Which queries, shape (queries,).
        seed: The same seed and number of queries draw the same queries, so that systems stay paired.
        resamples: How often to draw.
    """
    values, drawn = _ratios(sums, chosen, seed=seed, resamples=resamples)
    return {name: _percentiles(values[name], drawn[name]) for name in values}


def differences(
    first: QuerySums, second: QuerySums, chosen: Chosen, *, seed: int, resamples: int = RESAMPLES
) -> Mapping[str, Estimate]:
    """Returns how much more each measure is in the second system than in the first, paired by query.

    Measures that only one of them has are left out.
    """
    before, drawn_before = _ratios(first, chosen, seed=seed, resamples=resamples)
    after, drawn_after = _ratios(second, chosen, seed=seed, resamples=resamples)
    return {
        name: _percentiles(after[name] - before[name], drawn_after[name] - drawn_before[name])
        for name in before
        if name in after
    }


def _percentiles(value: float, drawn: Floats) -> Estimate:
    """The percentile interval over the draws that define the value; without ends where too few do.

    A mean over rewrites is not defined in a draw of queries that have none.
    """
    if not np.isfinite(value):
        return UNDEFINED
    defined = drawn[np.isfinite(drawn)]
    if len(defined) < _MOSTLY * len(drawn):
        return Estimate(value, np.nan, np.nan)
    low, high = np.quantile(defined, [ALPHA / 2, 1 - ALPHA / 2])
    return Estimate(value, float(low), float(high))


def _ratios(
    sums: QuerySums, chosen: Chosen, *, seed: int, resamples: int
) -> tuple[Mapping[str, float], Mapping[str, Floats]]:
    names = list(sums.by_measure)
    if not chosen.any() or not names:
        return dict.fromkeys(names, np.nan), {name: np.array([np.nan]) for name in names}
    columns = np.concatenate([sums.by_measure[name][chosen] for name in names], axis=1)
    totals = resampled_totals(columns, seed=seed, resamples=resamples)
    whole = columns.sum(axis=0, keepdims=True)
    return (
        {name: float(_ratio(whole, place)[0]) for place, name in enumerate(names)},
        {name: _ratio(totals, place) for place, name in enumerate(names)},
    )


def _ratio(totals: Floats, place: int) -> Floats:
    top, bottom = totals[:, 2 * place], totals[:, 2 * place + 1]
    found: Floats = np.divide(top, bottom, out=np.full(len(totals), np.nan), where=bottom != 0)
    return found
