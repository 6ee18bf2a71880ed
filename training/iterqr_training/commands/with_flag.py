"""The flag --with: more flags for the commands that a command runs."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Mapping, Sequence


def add_with_flag(parser: argparse.ArgumentParser, commands: Sequence[str]) -> None:
    """Adds the flag; `commands` may be given more flags."""
    parser.add_argument(
        "--with",
        dest="flags",
        type=_reader(commands),
        action="append",
        default=[],
        metavar="'COMMAND: FLAGS'",
        help=f"more flags of a stage's command ({', '.join(commands)}); may be repeated",
    )


def flags_by_command(
    options: argparse.Namespace, before: Mapping[str, tuple[str, ...]]
) -> Mapping[str, tuple[str, ...]]:
    """Returns what was given by command, after the flags in `before`."""
    given = dict(before)
    for command, more in options.flags:
        given[command] = (*given.get(command, ()), *more)
    return given


def _reader(commands: Sequence[str]) -> Callable[[str], tuple[str, tuple[str, ...]]]:
    def read(text: str) -> tuple[str, tuple[str, ...]]:
        command, colon, flags = text.partition(":")
        if not colon or command.strip() not in commands:
            raise argparse.ArgumentTypeError(f"{text!r} is not like 'COMMAND: FLAGS'; commands: {', '.join(commands)}")
        return command.strip(), tuple(shlex.split(flags))

    return read
