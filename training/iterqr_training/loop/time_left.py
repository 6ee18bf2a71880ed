"""How long a loop will take yet, judged by what its stages took. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from iterqr_training.loop.machine import planned
from iterqr_training.loop.stage import Stage


def seconds_left(iterations: int, seconds: Mapping[tuple[int, Stage], float], refused: Collection[int]) -> float | None:
    """Returns the seconds of the stages that are not done, each as long as its mean; None if one was never done.

    Args:
        iterations: Of the loop.
        seconds: By iteration and stage, of what is done.
        refused: Iterations that ended early: nothing of them is left.
    """
    by_stage: dict[Stage, list[float]] = defaultdict(list)
    for (_, stage), took in seconds.items():
        by_stage[stage].append(took)
    left = 0.0
    for number, stages in planned(iterations):
        for stage in stages:
            if number in refused or (number, stage) in seconds:
                continue
            if not by_stage[stage]:
                return None
            left += sum(by_stage[stage]) / len(by_stage[stage])
    return left
