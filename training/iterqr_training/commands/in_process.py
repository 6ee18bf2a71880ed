"""Runs commands of this program for one that needs others, with what they print in a log."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rich.console import Console

from iterqr_training.commands.interface import Command
from iterqr_training.errors import StoreError
from iterqr_training.loop.command_runner import run_apart

_WIDTH = 160


class InProcess:
    """See `loop.command_runner.CommandRunner`."""

    def __init__(self, commands: Iterable[Command]) -> None:
        self._parser = argparse.ArgumentParser(prog="iterqr-train")
        subparsers = self._parser.add_subparsers(required=True, metavar="COMMAND")
        for command in commands:
            command.add_parser(subparsers)

    def check(self, line: Sequence[str]) -> None:
        """See `CommandRunner`."""
        self._parser.parse_args(line)

    def run(self, line: Sequence[str], log: Path) -> int:
        """See `CommandRunner`. The log begins with the line, so that a person can run it alone."""
        options = self._parser.parse_args(line)
        run: Callable[[argparse.Namespace, Console], int] = options.command
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("a", encoding="utf-8") as file:
                console = Console(file=file, width=_WIDTH, force_terminal=False)
                console.print(f"$ iterqr-train {shlex.join(line)}", highlight=False, markup=False, soft_wrap=True)
                return run(options, console)
        except OSError as error:
            raise StoreError(f"{log} cannot be written: {error}") from error

    def run_apart(self, line: Sequence[str], log: Path) -> None:
        """See `CommandRunner`."""
        run_apart(line, log)
