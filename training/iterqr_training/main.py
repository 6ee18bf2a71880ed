"""`iterqr-train`: the command line of the learning side."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import metadata

from rich.console import Console

from iterqr_training.commands import (
    ablation,
    attribute,
    attribution_check,
    collect,
    dataset,
    evaluate,
    experiment,
    export,
    gate,
    general_ability,
    health,
    hints,
    label,
    loop,
    quantize,
    train,
)
from iterqr_training.commands.interface import Command
from iterqr_training.errors import TrainingError

_DESCRIPTION = """\
Learns from clicks and purchases: collects signals, attributes them to rewrites, says what rewriting earned, trains,
judges and exports checkpoints that servers load."""

_COMMANDS: tuple[Command, ...] = (
    collect,
    attribution_check,
    attribute,
    health,
    hints,
    experiment,
    label,
    dataset,
    train,
    evaluate,
    general_ability,
    gate,
    ablation,
    export,
    quantize,
    loop,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point. Exit status: 0 it worked; 1 it did not, and why; 2 wrong usage; 130 interrupted."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace, Console], int] = options.command
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a supervisor's stop ends it as Ctrl-C does
    try:
        status = run(options, Console())
    except TrainingError as error:
        print(f"iterqr-train: {error}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        print("iterqr-train: interrupted; run it again to go on", file=sys.stderr)
        status = 130
    if status:
        sys.exit(status)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="iterqr-train", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {metadata.version('iterqr-training')}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add_parser(subparsers)
    return parser


if __name__ == "__main__":
    main()
