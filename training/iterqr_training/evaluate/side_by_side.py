"""Rows of the report: each measure of all systems beside each other, as words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from iterqr_training.dataset.rows import Band
from iterqr_training.evaluate.estimates import differences, estimates
from iterqr_training.evaluate.evaluated import Evaluation
from iterqr_training.evaluate.measures import MEASURES, Better, Measure
from iterqr_training.experiments.estimate import UNDEFINED, Estimate
from iterqr_training.experiments.wording import NOTHING, decimal, interval, percent


@dataclass(frozen=True, slots=True)
class Cell:
    """One value. `tone`: good or bad where the paired interval of its difference to the first system excludes 0."""

    value: str
    interval: str
    tone: str
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class Row:
    """One measure of all systems."""

    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class BandTable:
    """All measures on the queries of a band; `band` is None for all."""

    band: Band | None
    queries: int
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.band.value if self.band else 'all'} queries: {self.queries:,}"


def band_tables(evaluation: Evaluation) -> tuple[BandTable, ...]:
    """Returns a table of all queries and one of each band that has any."""
    return tuple(
        BandTable(band, int(chosen.sum()), tuple(_rows(evaluation, band)))
        for band in (None, *Band)
        if (chosen := evaluation.chosen(band)).any()
    )


def whole_rows(evaluation: Evaluation) -> tuple[Row, ...]:
    """Returns the measures that are no sums over queries: variety, quantiles of latency, calibration, perplexity."""
    systems = evaluation.systems
    values = (
        ("distinct-1", [each.variety.distinct_1 for each in systems], False),
        ("distinct-2", [each.variety.distinct_2 for each in systems], False),
        ("self-BLEU of first rewrites", [each.variety.self_bleu for each in systems], False),
        ("distinct rewrites", [each.variety.unique_share for each in systems], True),
        ("queries with the most common rewrite", [each.variety.top_share for each in systems], True),
        ("latency p50, ms", [each.latency.p50_ms for each in systems], False),
        ("latency p95, ms", [each.latency.p95_ms for each in systems], False),
        ("calibration error (ECE) after fitting", [each.calibration_error for each in systems], False),
        ("perplexity on general text", [each.perplexity for each in systems], False),
    )
    return tuple(
        Row(label, tuple(Cell(_told(value, is_share), "", "", Estimate(value, math.nan, math.nan)) for value in mine))
        for label, mine, is_share in values
    )


def _rows(evaluation: Evaluation, band: Band | None) -> Iterator[Row]:
    chosen, context = evaluation.chosen(band), evaluation.context
    first = evaluation.systems[0]
    found = [
        (
            estimates(each.sums, chosen, seed=context.seed, resamples=context.resamples),
            differences(first.sums, each.sums, chosen, seed=context.seed, resamples=context.resamples),
        )
        for each in evaluation.systems
    ]
    for measure in MEASURES:
        cells = tuple(
            _cell(measure, values.get(measure.name, UNDEFINED), gains.get(measure.name, UNDEFINED))
            for values, gains in found
        )
        if any(math.isfinite(cell.estimate.value) for cell in cells):
            yield Row(measure.label, cells)


def _cell(measure: Measure, estimate: Estimate, gain: Estimate) -> Cell:
    tone = ""
    if measure.better is not Better.NEITHER and gain.excludes_zero:
        tone = "good" if (gain.value > 0) == (measure.better is Better.HIGHER) else "bad"
    return Cell(_told(estimate.value, measure.is_share), _ends(estimate, measure.is_share), tone, estimate)


def _told(value: float, is_share: bool) -> str:
    return percent(value) if is_share else decimal(value)


def _ends(estimate: Estimate, is_share: bool) -> str:
    if math.isnan(estimate.low):
        return NOTHING if math.isnan(estimate.value) else ""
    if is_share:
        return f"{percent(estimate.low)} to {percent(estimate.high)}"
    return interval(estimate).replace("+", "")
