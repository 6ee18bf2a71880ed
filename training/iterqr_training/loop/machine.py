"""The state machine: each stage of each part (an iteration of a loop) once, whatever was killed in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from iterqr_training.loop.loop_log import LoopLog
from iterqr_training.loop.stage import LEARNING, MEASURING, DoneStage, Stage, StageOutcome
from iterqr_training.loop.stage_log import P, StageLog

Of_contra = TypeVar("Of_contra", contravariant=True)


class StageWork(Protocol[Of_contra]):
    """Does stages. A stage that was killed is begun again: it must go on with, or replace, what it left."""

    def do(self, part: Of_contra, stage: Stage, /) -> StageOutcome:
        """Does one stage; all stages before it are done.

        Raises:
            TrainingError: It could not be done; the run stops, and goes on there when it is started again.
        """
        ...


class StageListener(Protocol[Of_contra]):
    """Hears how it goes."""

    def begins(self, part: Of_contra, stage: Stage, /) -> None:
        """A stage begins that is not done yet."""

    def ended(self, part: Of_contra, stage: Stage, done: DoneStage, /) -> None:
        """A stage is done and noted."""


def planned(iterations: int) -> Iterator[tuple[int, tuple[Stage, ...]]]:
    """Yields the iterations from 1 on with their stages, and the round that measures the last one's checkpoint."""
    for number in range(1, iterations + 1):
        yield number, LEARNING
    yield iterations + 1, MEASURING


def run_loop(
    iterations: int,
    work: StageWork[int],
    log: LoopLog,
    listener: StageListener[int],
    clock: Callable[[], float] = time.monotonic,
    on_iteration: Callable[[], object] = lambda: None,
) -> None:
    """Does what is not done yet. A refusal ends its iteration; the next begins with the champion as it was.

    `on_iteration` is called after each.

    Raises:
        TrainingError: A stage could not be done; what was done is noted.
    """
    for number, stages in planned(iterations):
        run_stages(number, stages, work, log, listener, clock)
        on_iteration()


def run_stages(
    part: P,
    stages: Sequence[Stage],
    work: StageWork[P],
    log: StageLog[P],
    listener: StageListener[P],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Does what is not done yet of a part's stages. A refusal ends it.

    Raises:
        TrainingError: A stage could not be done; what was done is noted.
    """
    for stage in stages:
        done = log.find(part, stage)
        if done is None:
            listener.begins(part, stage)
            began = clock()
            outcome = work.do(part, stage)
            done = DoneStage(outcome, clock() - began)
            log.note(part, stage, done)
            listener.ended(part, stage, done)
        if done.outcome.refusal:
            break
