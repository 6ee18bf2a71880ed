"""The command: what it refuses before the first stage, and how it ends."""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from filelock import FileLock
from iterqr_training.commands import loop as command
from iterqr_training.errors import SourceError
from iterqr_training.loop import command_runner
from iterqr_training.loop.settings import LoopSettings
from iterqr_training.loop.stage import Stage, StageOutcome
from iterqr_training.main import main


class NoUsers:
    identity = "nobody"
    settings: Mapping[str, object] = MappingProxyType({"seed": 7})
    flags: Mapping[str, tuple[str, ...]] = MappingProxyType({"label": ("--min-clients", "1")})


@pytest.fixture
def factory(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A module whose factory keeps the folders that it was called with."""
    made: list[Path] = []
    module = types.ModuleType("users_of_a_test")

    def nobody(folder: Path, _console: object) -> NoUsers:
        made.append(folder)
        return NoUsers()

    module.nobody = nobody  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(command_runner, "_EXTRA", ("json",))
    return made


def run(folder: Path, *flags: str) -> int:
    try:
        main(["loop", "--out", str(folder), "--traffic", "users_of_a_test:nobody", *flags])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_without_the_extra_it_stops_before_anything_is_started(
    tmp_path: Path, factory: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command_runner, "_EXTRA", ("json", "no_such_library"))
    assert run(tmp_path / "loop") == 1
    assert "no_such_library is not installed; the loop trains, which needs the extra `train`" in capsys.readouterr().err
    assert factory == []
    assert not (tmp_path / "loop").exists()


@pytest.mark.parametrize("traffic", ["users_of_a_test", "no_such_module:users", "users_of_a_test:somebody"])
def test_a_source_that_is_not_there_is_told(
    tmp_path: Path, factory: list[Path], traffic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "loop", "--traffic", traffic) == 1
    assert "--traffic" in capsys.readouterr().err
    assert factory == []


@pytest.mark.parametrize("text", ["train --epochs 2", "serve: --fast"])
def test_flags_of_no_command_are_wrong_usage(tmp_path: Path, factory: list[Path], text: str) -> None:
    assert run(tmp_path / "loop", "--with", text) == 2
    assert factory == []


def test_two_loops_do_not_work_in_one_folder(
    tmp_path: Path, factory: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "loop").mkdir()
    with FileLock(tmp_path / "loop" / ".lock"):
        assert run(tmp_path / "loop") == 1
    assert "another loop is at work" in capsys.readouterr().err
    assert factory == [tmp_path / "loop" / "traffic"]


def test_flags_given_come_after_those_that_the_users_call_for(
    tmp_path: Path, factory: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[LoopSettings] = []

    class Noting:
        def __init__(self, settings: LoopSettings, *_: object) -> None:
            asked.append(settings)

        def do(self, _iteration: int, _stage: Stage) -> StageOutcome:
            raise SourceError("that is enough")

    monkeypatch.setattr(command, "LearningStages", Noting)
    assert run(tmp_path / "loop", "--with", "label: --min-clients 3", "--with", "train: --epochs 2") == 1
    assert asked[0].flags == {"label": ("--min-clients", "1", "--min-clients", "3"), "train": ("--epochs", "2")}
    assert factory == [tmp_path / "loop" / "traffic"]


def test_a_stage_that_fails_is_told_with_the_report_of_what_was_done(
    tmp_path: Path, factory: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Failing:
        def __init__(self, *_: object) -> None: ...

        def do(self, _iteration: int, stage: Stage) -> StageOutcome:
            if stage is Stage.TRAFFIC:
                raise SourceError("nobody searches")
            return StageOutcome({"champion": "base-model", "base": "base-model"})

    monkeypatch.setattr(command, "LearningStages", Failing)
    assert run(tmp_path / "loop") == 1
    told = capsys.readouterr()
    assert "nobody searches" in told.err
    assert "✓ iteration 1: serve" in told.out
    assert "untuned (base-model) served" in (tmp_path / "loop" / "report.html").read_text("utf-8")
    assert run(tmp_path / "loop", "--with", "train: --epochs 9") == 1
    assert "other settings" in capsys.readouterr().err
    assert run(tmp_path / "loop", "--iterations", "5", "--max-drift-rise", "0.2") == 1
    assert "nobody searches" in capsys.readouterr().err


def test_the_report_is_written_after_each_iteration(
    tmp_path: Path, factory: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[str] = []

    class Refused:
        def __init__(self, *_: object) -> None: ...

        def do(self, iteration: int, _stage: Stage) -> StageOutcome:
            if iteration == 2:
                pages.append((tmp_path / "loop" / "report.html").read_text("utf-8"))
                raise SourceError("that is enough")
            return StageOutcome({"champion": "base-model", "base": "base-model"}, "the model was not found good")

    monkeypatch.setattr(command, "LearningStages", Refused)
    assert run(tmp_path / "loop") == 1
    assert "the model was not found good" in pages[0]


def test_a_limit_of_a_detector_that_is_none_is_told(
    tmp_path: Path, factory: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "loop", "--min-novelty", "2") == 1
    assert "min_novelty is 2.0, and must be from 0 to 1" in capsys.readouterr().err
    assert factory == []
