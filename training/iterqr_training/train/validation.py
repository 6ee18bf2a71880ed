"""The model on the validation rows: loss by task, and how well it tells good rewrites from bad ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from iterqr_training.dataset.rows import Task


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """Losses are means over examples by their weights; `loss` is their sum by the static task weights over those.

    `accuracy` and `auc` are of the yes/no tasks; `auc` lacks tasks whose rows have one answer only.
    """

    loss: float
    by_task: Mapping[Task, float]
    accuracy: Mapping[Task, float]
    auc: Mapping[Task, float]

    def metrics(self) -> dict[str, float]:
        """By name, as they are logged."""
        named = {"validation/loss": self.loss}
        for name, values in (("loss", self.by_task), ("accuracy", self.accuracy), ("auc", self.auc)):
            named |= {f"validation/{name}/{task}": value for task, value in values.items()}
        return named


def validation_result(
    sums: Mapping[Task, tuple[float, float]],
    answers: Sequence[tuple[Task, bool, float]],
    task_weights: Mapping[Task, float],
) -> ValidationResult:
    """Puts together what the rows gave.

    Args:
        sums: Of each task: sum of weight times loss, sum of weights.
        answers: See `losses.yes_margins`.
        task_weights: Static weights.
    """
    by_task = {task: sums[task][0] / sums[task][1] for task in Task if task in sums}
    scale = sum(task_weights[task] for task in by_task)
    accuracy: dict[Task, float] = {}
    auc: dict[Task, float] = {}
    for task in (Task.QUALITY, Task.RELEVANCE):
        right = np.array([yes for each, yes, _ in answers if each is task], dtype=bool)
        margins = np.array([margin for each, _, margin in answers if each is task])
        if len(right):
            accuracy[task] = float(np.mean((margins > 0) == right))
        if right.any() and not right.all():
            auc[task] = _auc(margins[right], margins[~right])
    loss = sum(task_weights[task] * value for task, value in by_task.items()) / scale
    return ValidationResult(loss, by_task, accuracy, auc)


def _auc(of_yes: np.ndarray, of_no: np.ndarray) -> float:
    """The share of pairs in which the right yes has the larger margin, ties half: Mann and Whitney's U."""
    return float(stats.mannwhitneyu(of_yes, of_no).statistic / (len(of_yes) * len(of_no)))


@dataclass(frozen=True, slots=True)
class Best:
    """The best validation so far, and how many came since."""

    step: int
    loss: float
    since: int = 0

    def after(self, step: int, loss: float, min_improvement: float) -> Best:
        """With one more validation."""
        if loss < self.loss - min_improvement:
            return Best(step, loss)
        return Best(self.step, self.loss, self.since + 1)

    def stops(self, patience: int) -> bool:
        """Whether the run should end; never with patience 0."""
        return 0 < patience <= self.since
