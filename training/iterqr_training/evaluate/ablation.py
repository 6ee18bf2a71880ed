"""The ablation table: what each part of training is worth, as in Table 3 of IterQR (arXiv 2504.05309).

Each run is a system of an evaluation on the same truth set; each is compared with the first, the full one, by paired
bootstrap. A difference whose interval holds 0 is within noise, and the table says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from iterqr_training.dataset.rows import Band
from iterqr_training.errors import SettingError
from iterqr_training.evaluate.estimates import differences, estimates
from iterqr_training.evaluate.evaluated import EvaluatedSystem, Evaluation
from iterqr_training.evaluate.measures import BY_NAME, Better, Measure
from iterqr_training.experiments.estimate import UNDEFINED, Estimate

SCHEMA = "iterqr-ablation/v1"
ABLATED = ("rewrite_p1", "rewrite_p5", "rewrite_p10", "result_p10", "result_ndcg10", "harm_rate", "drift")


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run learned from: training examples by task, and steps."""

    examples: Mapping[str, int]
    steps: int


@dataclass(frozen=True, slots=True)
class AblationRun:
    """One run: its label, and the evaluated system with the evaluation it is of. `budget`: None if it is not known."""

    label: str
    evaluation: Evaluation
    system: EvaluatedSystem
    budget: Budget | None = None


@dataclass(frozen=True, slots=True)
class AblationCell:
    """A measure of a run. `change`: against the full run, UNDEFINED for itself and where one lacks the measure."""

    measure: str
    value: Estimate
    change: Estimate

    @property
    def within_noise(self) -> bool:
        """Whether the interval of the change holds 0."""
        return math.isfinite(self.change.low) and not self.change.excludes_zero

    @property
    def tone(self) -> str:
        """`good` or `bad` where the change is beyond noise, else ``."""
        better = _measure(self.measure).better
        if not self.change.excludes_zero or better is Better.NEITHER:
            return ""
        return "good" if (self.change.value > 0) == (better is Better.HIGHER) else "bad"


@dataclass(frozen=True, slots=True)
class AblationRow:
    """All measures of a run."""

    label: str
    identity: str
    cells: tuple[AblationCell, ...]
    budget: Budget | None


@dataclass(frozen=True, slots=True)
class Ablation:
    """The table. `band`: of the queries, None for all."""

    band: Band | None
    queries: int
    truth_sha256: str
    measures: tuple[str, ...]
    rows: tuple[AblationRow, ...]


def ablate(runs: Sequence[AblationRun], band: Band | None) -> Ablation:
    """Compares runs with the first of them.

    Raises:
        SettingError: There are fewer than two, a label is there twice, or they were not measured on the same queries.
    """
    if len(runs) < 2:
        raise SettingError("an ablation needs at least 2 runs")
    if len({run.label for run in runs}) < len(runs):
        raise SettingError("a label is there twice")
    full = runs[0]
    for run in runs:
        same = run.evaluation.context.truth_sha256 == full.evaluation.context.truth_sha256
        if not same or run.evaluation.queries != full.evaluation.queries:
            raise SettingError(f"{run.label} was measured on other queries than {full.label}: they cannot be compared")
    chosen = full.evaluation.chosen(band)
    if not chosen.any():
        raise SettingError(f"there are no {band or ''} queries")
    context = full.evaluation.context
    rows = []
    for run in runs:
        values = estimates(run.system.sums, chosen, seed=context.seed, resamples=context.resamples)
        changes = (
            {}
            if run is full
            else differences(full.system.sums, run.system.sums, chosen, seed=context.seed, resamples=context.resamples)
        )
        cells = tuple(AblationCell(n, values.get(n, UNDEFINED), changes.get(n, UNDEFINED)) for n in ABLATED)
        rows.append(AblationRow(run.label, run.system.identity, cells, run.budget))
    return Ablation(band, int(chosen.sum()), context.truth_sha256, ABLATED, tuple(rows))


def label_of(name: str) -> str:
    """Returns a measure's name for people."""
    return _measure(name).label


def _measure(name: str) -> Measure:
    return BY_NAME[name]
