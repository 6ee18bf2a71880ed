"""How a stage runs a command of `iterqr-train`."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from iterqr_training.errors import RunError
from iterqr_training.loop.own_process import own_process

_EXTRA = ("torch", "transformers", "peft", "accelerate", "mlflow")
_LINES_SHOWN = 10


class CommandRunner(Protocol):
    """Runs commands. What they print goes to a log."""

    def check(self, line: Sequence[str]) -> None:
        """Parses a command line and does nothing; a wrong flag ends the program as argparse does."""
        ...

    def run(self, line: Sequence[str], log: Path) -> int:
        """Runs a command in this process and returns its exit status, as `Command.run` does.

        Raises:
            TrainingError: As the command.
        """
        ...

    def run_apart(self, line: Sequence[str], log: Path) -> None:
        """Runs a command in a process of its own, which gives its memory back; see `run_apart`."""
        ...


def run_apart(line: Sequence[str], log: Path) -> None:
    """Runs a command in a process of its own: its memory is given back, and PyTorch is not loaded here.

    Raises:
        RunError: It failed; the message has the end of its log.
    """
    command = [sys.executable, "-m", "iterqr_training.main", *line]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ iterqr-train {shlex.join(line)}\n")
    with own_process(command, log, log.with_suffix(".pid")) as process:
        status = process.wait()
    if status:
        lines = log.read_text("utf-8", errors="replace").splitlines()[-_LINES_SHOWN:]
        raise RunError("\n  ".join([f"`iterqr-train {line[0]}` ended with {status}; the end of {log}:", *lines]))


def require_training() -> None:
    """Raises RunError if the extra `train` is not installed: the loop must not find out after hours of traffic."""
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise RunError(
            f"{missing[0]} is not installed; the loop trains, which needs the extra `train`: "
            "pip install 'iterqr-training[train]', or make .venv/.synced-train"
        )
