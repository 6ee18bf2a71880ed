"""How much each task's loss weighs in a step: fixed, on a schedule, or by how the tasks' losses go.

Pure: numbers in, numbers out, and a state that JSON carries, so that an interrupted run goes on with the same weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from iterqr_training.dataset.rows import Task
from iterqr_training.train.settings import TrainSettings, Weighting

Losses = Mapping[Task, float]


@dataclass(frozen=True, slots=True)
class WeightingState:
    """What the dynamic weightings remember: sums of losses by window, and log variances."""

    windows: tuple[Mapping[str, tuple[float, int]], ...] = ()
    log_variances: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """See `from_json`."""
        return {
            "windows": [{task: list(each) for task, each in window.items()} for window in self.windows],
            "log_variances": dict(self.log_variances),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> WeightingState:
        """Reads what `to_json` gave."""
        windows = tuple({t: (float(a), int(n)) for t, (a, n) in window.items()} for window in data["windows"])
        return cls(windows, dict(data["log_variances"]))


class TaskWeighting(Protocol):
    """Weights of the tasks' losses."""

    def weights(self, state: WeightingState, progress: float) -> dict[Task, float]:
        """The weights of the next step; `progress` is the share of the run that is done, from 0 to 1."""
        ...

    def after(self, state: WeightingState, step: int, losses: Losses) -> WeightingState:
        """Called after each step (from 1) with the losses of the tasks that were in it."""
        ...


@dataclass(frozen=True, slots=True)
class StaticWeights:
    """Always the same."""

    of: Mapping[Task, float]

    def weights(self, _state: WeightingState, _progress: float) -> dict[Task, float]:
        """See `TaskWeighting`."""
        return dict(self.of)

    def after(self, state: WeightingState, _step: int, _losses: Losses) -> WeightingState:
        """See `TaskWeighting`."""
        return state


@dataclass(frozen=True, slots=True)
class ScheduledWeights:
    """Linear between points (share of the run, weights); constant before the first and after the last."""

    points: tuple[tuple[float, Mapping[Task, float]], ...]
    tasks: tuple[Task, ...]

    def weights(self, _state: WeightingState, progress: float) -> dict[Task, float]:
        """See `TaskWeighting`."""
        before = [point for point in self.points if point[0] <= progress]
        after = [point for point in self.points if point[0] > progress]
        if not before or not after:
            nearest = before[-1] if before else after[0]
            return {task: nearest[1][task] for task in self.tasks}
        (start, low), (end, high) = before[-1], after[0]
        share = (progress - start) / (end - start)
        return {task: low[task] + share * (high[task] - low[task]) for task in self.tasks}

    def after(self, state: WeightingState, _step: int, _losses: Losses) -> WeightingState:
        """See `TaskWeighting`."""
        return state


@dataclass(frozen=True, slots=True)
class DynamicWeightAverage:
    """Tasks whose loss falls slower weigh more (DWA; Liu, Johns, Davison: End-to-End Multi-Task Learning, 2019).

    With w = mean loss of the last whole window / of the one before, weights are the static ones times
    K softmax(w / temperature) over the K tasks. Until there are two windows, the static ones.
    """

    of: Mapping[Task, float]
    temperature: float
    window: int

    def weights(self, state: WeightingState, _progress: float) -> dict[Task, float]:
        """See `TaskWeighting`."""
        whole = state.windows[:-1] if state.windows else ()
        if len(whole) < 2:
            return dict(self.of)
        last, before = (_means(window) for window in (whole[-1], whole[-2]))
        rates = {task: last.get(task, 1.0) / before[task] if before.get(task) else 1.0 for task in self.of}
        highest = max(rates.values())
        parts = {task: math.exp((rate - highest) / self.temperature) for task, rate in rates.items()}
        scale = len(parts) / sum(parts.values())
        return {task: self.of[task] * scale * part for task, part in parts.items()}

    def after(self, state: WeightingState, step: int, losses: Losses) -> WeightingState:
        """See `TaskWeighting`."""
        *whole, running = state.windows or ({},)
        sums = dict(running)
        for task, loss in losses.items():
            total, count = sums.get(task, (0.0, 0))
            sums[task] = (total + loss, count + 1)
        windows = [*whole, sums]
        if step % self.window == 0:
            windows.append({})
        return replace(state, windows=tuple(windows[-3:]))


@dataclass(frozen=True, slots=True)
class UncertaintyWeights:
    """Tasks that are noisier weigh less (Kendall, Gal, Cipolla: Multi-Task Learning Using Uncertainty, 2018).

    Weights are the static ones times exp(-s), s = log variance of the task, which goes down its own gradient in the
    loss exp(-s) L + s / 2 that is minimized with the model: ds = rate (exp(-s) L - 1/2).
    """

    of: Mapping[Task, float]
    rate: float

    def weights(self, state: WeightingState, _progress: float) -> dict[Task, float]:
        """See `TaskWeighting`."""
        return {task: weight * math.exp(-state.log_variances.get(task, 0.0)) for task, weight in self.of.items()}

    def after(self, state: WeightingState, _step: int, losses: Losses) -> WeightingState:
        """See `TaskWeighting`."""
        variances = dict(state.log_variances)
        for task, loss in losses.items():
            s = variances.get(task, 0.0)
            variances[task] = max(-5.0, min(5.0, s + self.rate * (math.exp(-s) * loss - 0.5)))
        return replace(state, log_variances=variances)


def task_weighting(settings: TrainSettings) -> TaskWeighting:
    """Returns the weighting that was asked for."""
    static = {task: settings.task_weights[task] for task in settings.tasks}
    match settings.weighting:
        case Weighting.STATIC:
            return StaticWeights(static)
        case Weighting.SCHEDULE:
            return ScheduledWeights(settings.schedule, settings.tasks)
        case Weighting.DWA:
            return DynamicWeightAverage(static, settings.dwa_temperature, settings.dwa_window)
        case Weighting.UNCERTAINTY:
            return UncertaintyWeights(static, settings.uncertainty_rate)


def _means(window: Mapping[str, tuple[float, int]]) -> dict[str, float]:
    return {task: total / count for task, (total, count) in window.items()}
