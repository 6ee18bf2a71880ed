"""Weights of the tasks' losses, against figures computed by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from iterqr_training.dataset.rows import Task
from iterqr_training.errors import SettingError
from iterqr_training.train.settings import Method, TrainSettings, Weighting
from iterqr_training.train.task_weighting import (
    DynamicWeightAverage,
    ScheduledWeights,
    UncertaintyWeights,
    WeightingState,
    task_weighting,
)

GENERATION, QUALITY = Task.GENERATION, Task.QUALITY


def test_a_schedule_is_linear_between_its_points() -> None:
    points = ((0.2, {GENERATION: 1.0, QUALITY: 1.0}), (0.6, {GENERATION: 3.0, QUALITY: 0.0}))
    weighting = ScheduledWeights(points, (GENERATION, QUALITY))
    seen = [weighting.weights(WeightingState(), progress) for progress in (0.0, 0.2, 0.3, 0.6, 1.0)]
    assert [weights[GENERATION] for weights in seen] == pytest.approx([1, 1, 1.5, 3, 3])
    assert [weights[QUALITY] for weights in seen] == pytest.approx([1, 1, 0.75, 0, 0])


def test_dwa_favours_the_task_whose_loss_falls_slower() -> None:
    weighting = DynamicWeightAverage({GENERATION: 1.0, QUALITY: 0.5}, temperature=2.0, window=2)
    state = WeightingState()
    for step, losses in enumerate([(4.0, 1.0), (4.0, 1.0), (2.0, 1.0), (2.0, 0.8)], start=1):
        assert weighting.weights(state, 0.0) == {GENERATION: 1.0, QUALITY: 0.5}
        state = weighting.after(state, step, dict(zip((GENERATION, QUALITY), losses, strict=True)))
    # The means of the windows: generation 4 then 2, quality 1 then 0.9.
    slow, fast = math.exp(0.9 / 2), math.exp(0.5 / 2)
    weights = weighting.weights(state, 0.0)
    assert weights[GENERATION] == pytest.approx(2 * fast / (slow + fast))
    assert weights[QUALITY] == pytest.approx(0.5 * 2 * slow / (slow + fast))


def test_dwa_waits_for_whole_windows_and_forgets_old_ones() -> None:
    weighting = DynamicWeightAverage({GENERATION: 1.0, QUALITY: 1.0}, temperature=1.0, window=1)
    state = WeightingState()
    for step, loss in enumerate([100.0, 2.0, 1.0], start=1):
        state = weighting.after(state, step, {GENERATION: loss, QUALITY: 1.0})
    assert weighting.weights(state, 0.0)[GENERATION] == pytest.approx(2 * math.exp(0.5) / (math.exp(0.5) + math.e))


def test_uncertainty_settles_where_each_weight_is_half_over_the_loss() -> None:
    """At the minimum of exp(-s) L + s / 2 over s, exp(-s) = 1 / (2 L)."""
    weighting = UncertaintyWeights({GENERATION: 1.0, QUALITY: 2.0}, rate=0.05)
    state = WeightingState()
    for step in range(1, 2000):
        state = weighting.after(state, step, {GENERATION: 2.0, QUALITY: 0.25})
    assert weighting.weights(state, 0.0) == pytest.approx({GENERATION: 1 / 4, QUALITY: 2 * 2.0}, rel=1e-3)


@pytest.mark.parametrize("kind", [Weighting.DWA, Weighting.UNCERTAINTY])
def test_the_state_goes_through_json(kind: Weighting) -> None:
    weighting = task_weighting(TrainSettings(Path("d"), Path("o"), weighting=kind, dwa_window=2))
    state = WeightingState()
    for step in range(1, 8):
        state = weighting.after(state, step, {GENERATION: 1.0 / step, QUALITY: 1.0})
    read = WeightingState.from_json(json.loads(json.dumps(state.to_json())))
    assert weighting.weights(read, 0.5) == weighting.weights(state, 0.5) != weighting.weights(WeightingState(), 0.5)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate: must be above 0 and at most 1, got 0"),
        ({"lora_rank": 0}, "lora_rank: must be at least 1"),
        ({"warmup": float("nan")}, "warmup: must be at least 0"),
        ({"max_example_tokens": 2000}, r"max_example_tokens: must be at most row_tokens \(512\), got 2000"),
        ({"tasks": ()}, "tasks: must be one or more of generation, quality, relevance"),
        ({"task_weights": {GENERATION: 1.0, QUALITY: 0.0}}, "task_weights: quality: must be above 0"),
        ({"weighting": Weighting.SCHEDULE}, "schedule: must be given with weighting schedule"),
        ({"schedule": ((0.5, dict.fromkeys(Task, 1.0)),)}, "schedule: must be given with weighting schedule, and only"),
        (
            {"weighting": Weighting.SCHEDULE, "schedule": ((1.5, dict.fromkeys(Task, 1.0)),)},
            "schedule: shares of the run must rise and be from 0 to 1",
        ),
        ({"method": Method.FULL, "kl_weight": 0.1}, "kl_weight: must be 0 with method full"),
    ],
)
def test_a_setting_out_of_its_limits_is_named(changed: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        TrainSettings(Path("d"), Path("o"), **changed)  # type: ignore[arg-type]
