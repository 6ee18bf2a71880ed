"""The state machine: each stage of each iteration once, whatever was killed in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Protocol

from iterqr_training.loop.loop_log import LoopLog
from iterqr_training.loop.stage import LEARNING, MEASURING, DoneStage, Stage, StageOutcome


class StageWork(Protocol):
    """Does stages. A stage that was killed is begun again: it must go on with, or replace, what it left."""

    def do(self, iteration: int, stage: Stage) -> StageOutcome:
        """Does one stage; all stages before it are done.

        Raises:
            TrainingError: It could not be done; the loop stops, and goes on there when it is started again.
        """
        ...


class LoopListener(Protocol):
    """Hears how the loop goes."""

    def begins(self, iteration: int, stage: Stage) -> None:
        """A stage begins that is not done yet."""

    def ended(self, iteration: int, stage: Stage, done: DoneStage) -> None:
        """A stage is done and noted."""


def planned(iterations: int) -> Iterator[tuple[int, tuple[Stage, ...]]]:
    """Yields the iterations from 1 on with their stages, and the round that measures the last one's checkpoint."""
    for number in range(1, iterations + 1):
        yield number, LEARNING
    yield iterations + 1, MEASURING


def run_loop(
    iterations: int,
    work: StageWork,
    log: LoopLog,
    listener: LoopListener,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Does what is not done yet. A refusal ends its iteration; the next begins with the champion as it was.

    Raises:
        TrainingError: A stage could not be done; what was done is noted.
    """
    for number, stages in planned(iterations):
        for stage in stages:
            done = log.find(number, stage)
            if done is None:
                listener.begins(number, stage)
                began = clock()
                outcome = work.do(number, stage)
                done = DoneStage(outcome, clock() - began)
                log.note(number, stage, done)
                listener.ended(number, stage, done)
            if done.outcome.refusal:
                break
