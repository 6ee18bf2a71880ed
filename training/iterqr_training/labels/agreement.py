"""How well labels agree with a reference: Cohen's kappa (1960) with its interval, and the confusion behind it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from iterqr_training.dataset.rows import Task
from iterqr_training.experiments.bootstrap import resampled_totals
from iterqr_training.experiments.estimate import ALPHA, UNDEFINED, Estimate
from iterqr_training.experiments.user_sums import Floats
from iterqr_training.labels.records import Kind, Pair
from iterqr_training.labels.reference import Reference

LABEL_AGREEMENT = "label_agreement"
_RESAMPLES = 2_000
_MOSTLY = 0.9  # of the resamples must define kappa


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of labels with a reference over the pairs that both have.

    Attributes:
        labels: Whose: clicks, judge, or final, which are those that are learned from.
        reference: With what.
        task: Of the labels.
        kind: Of the subjects.
        yes_yes: Pairs that labels and reference call good; the next are labels yes and reference no, and so on.
        kappa: 1 is agreement, 0 what chance gives; queries are resampled for the interval. NaN where not defined.
    """

    labels: str
    reference: str
    task: Task
    kind: Kind
    yes_yes: int
    yes_no: int
    no_yes: int
    no_no: int
    kappa: Estimate

    @property
    def pairs(self) -> int:
        """That both have."""
        return self.yes_yes + self.yes_no + self.no_yes + self.no_no

    @property
    def precision(self) -> float:
        """Share of the labels' yes that the reference has, too; NaN without one."""
        return _share(self.yes_yes, self.yes_yes + self.yes_no)

    @property
    def recall(self) -> float:
        """Share of the reference's yes that the labels have, too; NaN without one."""
        return _share(self.yes_yes, self.yes_yes + self.no_yes)


@dataclass(frozen=True, slots=True)
class Check:
    """A named check; `passed` is None where there is too little to judge by."""

    name: str
    subject: str
    passed: bool | None
    words: str


def agreement(
    labels: str, told: Mapping[tuple[Task, Pair], bool], task: Task, kind: Kind, with_: Reference, seed: int
) -> Agreement:
    """Compares the labels of one task and kind with a reference."""
    counts: dict[str, list[int]] = {}
    for (labelled, pair), positive in told.items():
        true = with_.answers.get((labelled, pair))
        if labelled is task and pair.kind is kind and true is not None:
            counts.setdefault(pair.query_key, [0, 0, 0, 0])[2 * (not positive) + (not true)] += 1
    by_query = np.array([counts[key] for key in sorted(counts)], dtype=np.float64).reshape(-1, 4)
    yes_yes, yes_no, no_yes, no_no = (int(each) for each in by_query.sum(axis=0))
    kappa = _kappa_estimate(by_query, seed)
    return Agreement(labels, with_.name, task, kind, yes_yes, yes_no, no_yes, no_no, kappa)


def kappas(cells: Floats) -> Floats:
    """Cohen's kappa of each row of `yes_yes, yes_no, no_yes, no_no`; NaN where chance alone agrees on all."""
    total = cells.sum(axis=1)
    yes, true = cells[:, 0] + cells[:, 1], cells[:, 0] + cells[:, 2]
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = (cells[:, 0] + cells[:, 3]) / total
        chance = (yes * true + (total - yes) * (total - true)) / total**2
        found: Floats = np.where(chance < 1, (observed - chance) / (1 - chance), np.nan)
    return found


def label_agreement_check(found: Agreement, min_kappa: float, min_pairs: int) -> Check:
    """The check of labels that are learned from: a set whose labels are flipped or random does not pass."""
    subject = f"{found.labels}, {found.task} of {found.kind}s"
    if found.pairs < min_pairs or not math.isfinite(found.kappa.value):
        words = f"{found.pairs} pairs of both classes in common with {found.reference}, too few to judge {subject}"
        return Check(LABEL_AGREEMENT, subject, None, words)
    passed = found.kappa.value >= min_kappa
    words = (
        f"{subject}: kappa {kappa_words(found)} with {found.reference} on {found.pairs} pairs, "
        f"{'at least' if passed else 'below'} {min_kappa:g}"
    )
    return Check(LABEL_AGREEMENT, subject, passed, words)


def failed(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Those that did not pass."""
    return tuple(each for each in checks if each.passed is False)


def kappa_words(found: Agreement) -> str:
    """Kappa and its interval."""
    if not math.isfinite(found.kappa.value):
        return "not defined"
    if not math.isfinite(found.kappa.low):
        return f"{found.kappa.value:.2f}"
    return f"{found.kappa.value:.2f} ({found.kappa.low:.2f} to {found.kappa.high:.2f})"


def _kappa_estimate(by_query: Floats, seed: int) -> Estimate:
    if not len(by_query):
        return UNDEFINED
    value = float(kappas(by_query.sum(axis=0, keepdims=True))[0])
    if not math.isfinite(value):
        return UNDEFINED
    drawn = kappas(resampled_totals(by_query, seed=seed, resamples=_RESAMPLES))
    defined = drawn[np.isfinite(drawn)]
    if len(defined) < _MOSTLY * len(drawn):
        return Estimate(value, math.nan, math.nan)
    low, high = np.quantile(defined, [ALPHA / 2, 1 - ALPHA / 2])
    return Estimate(value, float(low), float(high))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
