"""What `iterqr-train` needs of a command."""

from __future__ import annotations

import argparse
from typing import Protocol

from rich.console import Console


class Command(Protocol):
    """A module of this package that has both functions."""

    def add_parser(self, subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        """Adds the command with its help, examples and arguments, and `set_defaults(command=run)`."""

    def run(self, options: argparse.Namespace, console: Console) -> int:
        """Does the work. Returns the exit status: 0, or 1 where it ended well but says that something is wrong.

        Raises:
            TrainingError: It could not be done; the message is for a person.
        """
