"""Which examples each step has, learning rates, validation figures, curves and the metrics file."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from iterqr_training.dataset.rows import Task
from iterqr_training.errors import DatasetError, RunError
from iterqr_training.train.curves import run_curves, smoothed
from iterqr_training.train.examples import EncodedExample
from iterqr_training.train.metrics_log import Measured, MetricsLog
from iterqr_training.train.plan import learning_rate, loss_shares, step_plan
from iterqr_training.train.settings import TrainSettings
from iterqr_training.train.validation import Best, validation_result

FOLDERS = (Path("dataset"), Path("out"))


def example(number: int, iteration: int = 0, weight: float = 1.0, task: Task = Task.QUALITY) -> EncodedExample:
    return EncodedExample(f"e{number}", task, (1,), (2,), (3,), weight, iteration)


def test_an_epoch_has_every_example_once_and_each_its_own_order() -> None:
    plan = step_plan([example(n) for n in range(10)], TrainSettings(*FOLDERS, batch_examples=4, epochs=2))
    assert (plan.epoch_steps, plan.steps) == (3, 6)
    orders = [[each.example_id for step in steps for each in plan.examples(step)] for steps in ((1, 2, 3), (4, 5, 6))]
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(f"e{n}" for n in range(10))
    assert orders[0] != orders[1]
    assert [len(plan.examples(step)) for step in range(1, 7)] == [4, 4, 2, 4, 4, 2]


def test_a_plan_depends_on_its_seed_alone() -> None:
    some = [example(n) for n in range(50)]
    plans = [step_plan(some, TrainSettings(*FOLDERS, seed=seed)) for seed in (1, 1, 2)]
    assert plans[0].examples(2) == plans[1].examples(2) != plans[2].examples(2)


def test_replay_brings_its_share_of_earlier_rows_chosen_anew_each_epoch() -> None:
    some = [*(example(n, iteration=2) for n in range(30)), *(example(100 + n, iteration=n % 2) for n in range(60))]
    plan = step_plan(some, TrainSettings(*FOLDERS, replay_share=0.25, batch_examples=40))
    replayed = [{each for each in plan.examples(step) if each.iteration < 2} for step in (1, 2)]
    assert [len(plan.examples(step)) for step in (1, 2)] == [40, 40]
    assert len(replayed[0]) == len(replayed[1]) == 10
    assert replayed[0] != replayed[1]
    with pytest.raises(DatasetError, match=r"replay_share is 0\.25, but all rows are of iteration 2"):
        step_plan(some[:30], TrainSettings(*FOLDERS, replay_share=0.25))


def test_the_learning_rate_rises_and_falls_to_its_final_share() -> None:
    settings = TrainSettings(*FOLDERS, learning_rate=0.1, warmup=0.1, final_rate=0.2)
    rates = [learning_rate(step, 100, settings) for step in range(1, 101)]
    assert rates[:10] == pytest.approx([0.01 * step for step in range(1, 11)])
    assert rates[54] == pytest.approx(0.1 * (0.2 + 0.8 / 2))
    assert rates[-1] == pytest.approx(0.02)
    assert rates[9:] == sorted(rates[9:], reverse=True)


def test_the_weights_of_a_tasks_examples_are_shares_of_one() -> None:
    some = [example(1, weight=3.0), example(2), example(3, weight=0.5, task=Task.GENERATION)]
    assert loss_shares(some) == {"e1": 0.75, "e2": 0.25, "e3": 1.0}


def test_validation_figures_by_hand() -> None:
    answers = [
        (Task.QUALITY, True, 2.0),
        (Task.QUALITY, True, -1.0),
        (Task.QUALITY, False, 1.0),
        (Task.QUALITY, False, -3.0),
        (Task.RELEVANCE, True, 0.5),
    ]
    weights = {Task.GENERATION: 1.0, Task.QUALITY: 0.5, Task.RELEVANCE: 9.0}
    result = validation_result({Task.GENERATION: (6.0, 3.0), Task.QUALITY: (1.0, 2.0)}, answers, weights)
    assert result.by_task == {Task.GENERATION: 2.0, Task.QUALITY: 0.5}
    assert result.loss == pytest.approx((2.0 + 0.5 * 0.5) / 1.5)
    assert result.accuracy == {Task.QUALITY: 0.5, Task.RELEVANCE: 1.0}
    assert result.auc == {Task.QUALITY: 0.75}  # three of four pairs; relevance has no "no"


def test_the_best_validation_is_kept_until_one_is_clearly_better() -> None:
    best = Best(0, 1.0)
    for step, loss in ((10, 0.9), (20, 0.899), (30, 0.95)):
        best = best.after(step, loss, 0.01)
    assert (best.step, best.loss, best.since) == (10, 0.9, 2)
    assert best.stops(2)
    assert not best.stops(3)
    assert not best.stops(0)


def test_metrics_after_the_step_that_is_gone_on_from_are_dropped(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    log = MetricsLog(file, -1)
    for step in range(5):
        log.append(Measured(step, {"loss": 1.0 / (step + 1)}))
    with file.open("a") as torn:
        torn.write('{"step": 5, "lo')
    again = MetricsLog(file, 2)
    assert [each.step for each in again.entries] == [0, 1, 2]
    again.append(Measured(3, {"loss": 9.0}))
    assert [each.values["loss"] for each in MetricsLog(file, 9).entries] == [1.0, 0.5, pytest.approx(1 / 3), 9.0]
    file.write_text('nonsense\n{"step": 1}\n')
    with pytest.raises(RunError, match="line 1 is damaged"):
        MetricsLog(file, 9)


def test_curves_are_images_that_stand_alone() -> None:
    entries = [
        Measured(step, {"loss/quality": 1.0 / step, "learning_rate": 1e-4 * step, "weight/quality": 0.5})
        for step in range(1, 20)
    ]
    entries.append(Measured(20, {"validation/loss/quality": 0.3, "loss/quality": math.nan}))
    curves = run_curves(entries)
    assert set(curves) == {"loss.svg", "learning_rate.svg", "task_weights.svg"}
    for svg in curves.values():
        image = Xml.fromstring(svg)  # noqa: S314 - our own
        lines = image.findall("{http://www.w3.org/2000/svg}polyline")
        assert max(len(line.attrib["points"].split()) for line in lines) == 19
    assert "quality (validation)" in curves["loss.svg"]


def test_smoothing_starts_at_the_first_value_and_follows_the_last() -> None:
    flat = smoothed([(step, 3.0) for step in range(5)])
    assert [value for _, value in flat] == pytest.approx([3.0] * 5)
    assert smoothed([(0, 0.0), (1, 1.0)])[1][1] == pytest.approx(0.2 / 0.36)
