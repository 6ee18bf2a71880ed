"""Which examples each step learns from, and how fast: functions of settings and step alone, so that nothing of it
need be saved to go on after an interruption."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iterqr_training.dataset.rows import Task
from iterqr_training.errors import DatasetError
from iterqr_training.train.examples import EncodedExample
from iterqr_training.train.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class StepPlan:
    """The steps of a run, numbered from 1. `current` and `earlier` are rows of the latest iteration and those before
    it; without a replay share all are current. `replayed` of the earlier ones are in each epoch."""

    current: tuple[EncodedExample, ...]
    earlier: tuple[EncodedExample, ...]
    replayed: int
    batch_examples: int
    epochs: int
    max_steps: int
    seed: int

    @property
    def epoch_examples(self) -> int:
        """Examples of one epoch."""
        return len(self.current) + self.replayed

    @property
    def epoch_steps(self) -> int:
        """Steps of one epoch; its last may be smaller."""
        return math.ceil(self.epoch_examples / self.batch_examples)

    @property
    def steps(self) -> int:
        """Steps of the run."""
        planned = self.epoch_steps * self.epochs
        return min(planned, self.max_steps) if self.max_steps else planned

    def epoch_of(self, step: int) -> int:
        """From 0."""
        return (step - 1) // self.epoch_steps

    def examples(self, step: int) -> list[EncodedExample]:
        """Those of a step: each epoch has an order of its own and, with replay, its own choice of earlier rows."""
        epoch = self.epoch_of(step)
        random = np.random.default_rng([self.seed, epoch])
        chosen = random.choice(len(self.earlier), self.replayed, replace=False) if self.replayed else ()
        pool = [*self.current, *(self.earlier[int(place)] for place in chosen)]
        order = random.permutation(len(pool))
        start = ((step - 1) % self.epoch_steps) * self.batch_examples
        return [pool[int(place)] for place in order[start : start + self.batch_examples]]


def step_plan(examples: Sequence[EncodedExample], settings: TrainSettings) -> StepPlan:
    """Plans a run.

    Raises:
        DatasetError: Replay is asked for and there are no rows of earlier iterations.
    """
    latest = max(each.iteration for each in examples)
    current: tuple[EncodedExample, ...] = tuple(examples)
    earlier: tuple[EncodedExample, ...] = ()
    replayed = 0
    if settings.replay_share is not None:
        current = tuple(each for each in examples if each.iteration == latest)
        earlier = tuple(each for each in examples if each.iteration < latest)
        if settings.replay_share and not earlier:
            raise DatasetError(f"replay_share is {settings.replay_share:g}, but all rows are of iteration {latest}")
        wanted = round(len(current) * settings.replay_share / (1 - settings.replay_share))
        replayed = min(wanted, len(earlier))
    return StepPlan(
        current, earlier, replayed, settings.batch_examples, settings.epochs, settings.max_steps, settings.seed
    )


def learning_rate(step: int, steps: int, settings: TrainSettings) -> float:
    """Of a step (from 1): a linear rise, then half a cosine down to the final share."""
    rising = math.ceil(settings.warmup * steps)
    if step <= rising:
        return settings.top_learning_rate * step / rising
    done = (step - rising) / max(1, steps - rising)
    share = settings.final_rate + (1 - settings.final_rate) * (1 + math.cos(math.pi * done)) / 2
    return settings.top_learning_rate * share


def loss_shares(examples: Sequence[EncodedExample]) -> dict[str, float]:
    """How much of its task's loss each example of a step is, by id: its weight over the sum of its task's weights."""
    sums: dict[Task, float] = {}
    for each in examples:
        sums[each.task] = sums.get(each.task, 0.0) + each.weight
    return {each.example_id: each.weight / sums[each.task] for each in examples}
