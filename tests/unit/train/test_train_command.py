"""`iterqr-train train`: flags to settings, help and refusals."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from iterqr_training.commands import train as command
from iterqr_training.dataset.rows import Task
from iterqr_training.main import main
from iterqr_training.train.settings import Method, TrainSettings, Weighting


def settings_of(*flags: str) -> TrainSettings:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return command.settings_of(parser.parse_args(["train", "--dataset", "d", "--out", "o", *flags]))


def test_without_flags_all_settings_are_the_defaults() -> None:
    assert settings_of() == TrainSettings(Path("d"), Path("o"))


def test_every_setting_has_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    told = capsys.readouterr().out
    assert "examples:" in told
    for field in fields(TrainSettings):
        assert f"--{field.name.replace('_', '-')}" in told or field.name == "packing"


def test_flags_reach_the_settings() -> None:
    settings = settings_of(
        *("--method", "full", "--weighting", "schedule", "--tasks", "generation,quality", "--no-packing"),
        *("--schedule", "0:generation=1,quality=1;0.5:generation=1,quality=0.2", "--learning-rate", "3e-5"),
        *("--task-weights", "generation=2,quality=1", "--replay-share", "0.3", "--epochs", "3"),
    )
    assert settings.method is Method.FULL
    assert settings.weighting is Weighting.SCHEDULE
    assert settings.tasks == (Task.GENERATION, Task.QUALITY)
    assert settings.schedule[1] == (0.5, {Task.GENERATION: 1.0, Task.QUALITY: 0.2})
    assert settings.task_weights == {Task.GENERATION: 2.0, Task.QUALITY: 1.0}
    assert (settings.packing, settings.learning_rate, settings.replay_share) == (False, 3e-5, 0.3)
    assert settings.epochs == 3


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--tasks", "generation,parsing"), "'parsing' is no task; there are generation, quality, relevance"),
        (("--task-weights", "generation"), "'generation' is not like generation=1"),
        (("--schedule", "x:generation=1"), "'x:generation=1' is not like 0.5:generation=1,quality=1"),
        (("--method", "adapter"), "argument --method"),
    ],
)
def test_a_flag_that_is_wrong_is_named(
    flags: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["train", "--dataset", "d", "--out", "o", *flags])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_without_pytorch_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.startswith("iterqr_training.train.run")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(SystemExit) as caught:
        main(["train", "--dataset", "d", "--out", "o"])
    assert caught.value.code == 1
    assert "torch is not installed; training needs the extra `train`: pip install" in capsys.readouterr().err


def test_a_setting_out_of_its_limits_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["train", "--dataset", "d", "--out", "o", "--lora-rank", "0"])
    assert caught.value.code == 1
    assert capsys.readouterr().err == "iterqr-train: lora_rank: must be at least 1 and at most 1024, got 0\n"
