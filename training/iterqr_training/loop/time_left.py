"""How long a run of stages will take yet, judged by what its stages took. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from iterqr_training.loop.machine import planned
from iterqr_training.loop.stage import Stage
from iterqr_training.loop.stage_log import P


def seconds_left(iterations: int, seconds: Mapping[tuple[int, Stage], float], refused: Collection[int]) -> float | None:
    """Returns what `stages_left` says of a loop of so many iterations."""
    return stages_left(planned(iterations), seconds, refused)


def stages_left(
    plan: Iterable[tuple[P, Sequence[Stage]]], seconds: Mapping[tuple[P, Stage], float], ended: Collection[P] = ()
) -> float | None:
    """Returns the seconds of the stages that are not done, each as long as its mean; None if one was never done.

    Args:
        plan: All parts with their stages.
        seconds: By part and stage, of what is done.
        ended: Parts that ended early: nothing of them is left.
    """
    by_stage: dict[Stage, list[float]] = defaultdict(list)
    for (_, stage), took in seconds.items():
        by_stage[stage].append(took)
    left = 0.0
    for part, stages in plan:
        for stage in stages:
            if part in ended or (part, stage) in seconds:
                continue
            if not by_stage[stage]:
                return None
            left += sum(by_stage[stage]) / len(by_stage[stage])
    return left
