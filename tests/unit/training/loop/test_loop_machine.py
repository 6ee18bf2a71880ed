"""The state machine with scripted stages: killed anywhere, refused, extended."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from iterqr_training.errors import RunError, SourceError
from iterqr_training.loop.loop_log import LoopLog
from iterqr_training.loop.machine import planned, run_loop
from iterqr_training.loop.stage import LEARNING, MEASURING, DoneStage, Stage, StageOutcome
from iterqr_training.loop.time_left import seconds_left

Place = tuple[int, Stage]


class Scripted:
    """Counts stages that ended well; is killed or fails in one, refuses in another."""

    def __init__(self, *, fails_in: Place | None = None, refuses: Mapping[Place, str] | None = None) -> None:
        self.ended: list[Place] = []
        self.error: BaseException = KeyboardInterrupt()
        self._fails_in = fails_in
        self._refuses = refuses or {}

    def do(self, iteration: int, stage: Stage) -> StageOutcome:
        if (iteration, stage) == self._fails_in:
            raise self.error
        self.ended.append((iteration, stage))
        return StageOutcome({"told": f"{iteration} {stage}"}, self._refuses.get((iteration, stage), ""))


class Heard:
    def __init__(self) -> None:
        self.begun: list[Place] = []
        self.told: list[tuple[Place, str]] = []

    def begins(self, iteration: int, stage: Stage) -> None:
        self.begun.append((iteration, stage))

    def ended(self, iteration: int, stage: Stage, done: DoneStage) -> None:
        self.told.append(((iteration, stage), done.outcome.refusal))


EVERY = [(number, stage) for number, stages in planned(2) for stage in stages]


def run(folder: Path, work: Scripted, iterations: int = 2) -> LoopLog:
    log = LoopLog(folder, "one")
    run_loop(iterations, work, log, Heard())
    return log


def test_all_stages_in_order_and_the_last_checkpoint_is_measured(tmp_path: Path) -> None:
    work = Scripted()
    run(tmp_path, work)
    assert work.ended == EVERY
    assert work.ended[-len(MEASURING) :] == [(3, stage) for stage in MEASURING]
    assert len(work.ended) == 2 * len(LEARNING) + len(MEASURING)


@pytest.mark.parametrize("place", EVERY, ids=lambda place: f"{place[0]}-{place[1]}")
def test_killed_in_any_stage_it_goes_on_there_and_does_each_once(tmp_path: Path, place: Place) -> None:
    killed = Scripted(fails_in=place)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, killed)
    after = Scripted()
    log = run(tmp_path, after)
    assert after.ended[0] == place
    assert Counter(killed.ended + after.ended) == Counter(EVERY)
    assert {key: log.facts(*key)["told"] for key in EVERY} == {key: f"{key[0]} {key[1]}" for key in EVERY}


def test_killed_after_every_single_stage(tmp_path: Path) -> None:
    ended: list[Place] = []
    for following in EVERY[1:]:
        work = Scripted(fails_in=following)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, work)
        ended += work.ended
    last = Scripted()
    run(tmp_path, last)
    assert ended + last.ended == EVERY


def test_an_error_stops_the_loop_and_is_not_noted(tmp_path: Path) -> None:
    work = Scripted(fails_in=(1, Stage.TRAIN))
    work.error = SourceError("gone")
    with pytest.raises(SourceError, match="gone"):
        run(tmp_path, work)
    log = LoopLog(tmp_path, "one")
    assert log.find(1, Stage.DATASET) is not None
    assert log.find(1, Stage.TRAIN) is None
    assert log.refusal(1) == ""


@pytest.mark.parametrize("stage", [Stage.DATASET, Stage.GATE, Stage.HEALTH, Stage.CANARY])
def test_a_refusal_ends_its_iteration_and_the_loop_goes_on(tmp_path: Path, stage: Stage) -> None:
    work = Scripted(refuses={(1, stage): "too harmful"})
    log = run(tmp_path, work)
    assert [done for number, done in work.ended if number == 1] == list(LEARNING[: LEARNING.index(stage) + 1])
    assert [done for number, done in work.ended if number == 2] == list(LEARNING)
    assert log.refusal(1) == "too harmful"
    assert log.find(1, Stage.PROMOTE) is None
    again = Scripted()
    run(tmp_path, again)
    assert again.ended == []


def test_more_iterations_go_on_with_the_loop_that_is_there(tmp_path: Path) -> None:
    run(tmp_path, Scripted(), iterations=1)
    work = Scripted()
    run(tmp_path, work, iterations=2)
    learned_of_second = [(2, stage) for stage in LEARNING if stage not in MEASURING]
    assert work.ended == learned_of_second + [(3, stage) for stage in MEASURING]


def test_the_listener_hears_only_of_what_is_done_now(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Scripted(fails_in=(2, Stage.GATE)))
    heard = Heard()
    run_loop(2, Scripted(refuses={(2, Stage.GATE): "no"}), LoopLog(tmp_path, "one"), heard)
    assert heard.begun == [(2, Stage.GATE), *((3, stage) for stage in MEASURING)]
    assert heard.told[0] == ((2, Stage.GATE), "no")


def test_seconds_are_noted(tmp_path: Path) -> None:
    times = iter(range(0, 1_000, 5))
    log = LoopLog(tmp_path, "one")
    run_loop(1, Scripted(), log, Heard(), clock=lambda: float(next(times)))
    assert set(log.seconds().values()) == {5.0}
    assert LoopLog(tmp_path, "one").seconds() == log.seconds()


def test_a_folder_of_another_loop_is_refused(tmp_path: Path) -> None:
    run(tmp_path, Scripted())
    with pytest.raises(RunError, match="other settings"):
        LoopLog(tmp_path, "two")


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"schema": "iterqr-loop/v1", "identity": "one", "iterations": {"1": {"nap": {}}}}'],
)
def test_a_damaged_file_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "loop.json").write_text(text)
    with pytest.raises(RunError, match="damaged"):
        LoopLog(tmp_path, "one")


def test_another_version_is_told(tmp_path: Path) -> None:
    (tmp_path / "loop.json").write_text(json.dumps({"schema": "iterqr-loop/v9"}))
    with pytest.raises(RunError, match="v9"):
        LoopLog(tmp_path, "one")


def test_time_left_is_what_stages_took_before() -> None:
    first: dict[Place, float] = {(1, stage): 10.0 for stage in LEARNING}
    assert seconds_left(2, first, ()) == pytest.approx(10.0 * (len(LEARNING) + len(MEASURING)))
    assert seconds_left(2, first, (2,)) == pytest.approx(10.0 * len(MEASURING))


def test_time_left_is_unknown_until_each_stage_was_done_once() -> None:
    some: dict[Place, float] = {(1, stage): 10.0 for stage in LEARNING if stage is not Stage.PROMOTE}
    assert seconds_left(1, some, ()) is None
    assert seconds_left(1, some, (1,)) == pytest.approx(10.0 * len(MEASURING))
