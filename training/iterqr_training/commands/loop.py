"""`iterqr-train loop`: learns from users, again and again."""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path

from rich.console import Console

from iterqr_training.commands import attribute, collect, dataset, evaluate, experiment, export, gate, label, train
from iterqr_training.commands.in_process import InProcess
from iterqr_training.commands.loop_progress import LoopProgress
from iterqr_training.commands.with_flag import add_with_flag, flags_by_command
from iterqr_training.errors import SettingError
from iterqr_training.loop.alone_in import alone_in
from iterqr_training.loop.checking import check_lines
from iterqr_training.loop.command_runner import require_training
from iterqr_training.loop.health import DetectorLimits
from iterqr_training.loop.learning_stages import LearningStages
from iterqr_training.loop.loop_log import LoopLog
from iterqr_training.loop.machine import run_loop
from iterqr_training.loop.report_files import write_report
from iterqr_training.loop.report_model import read_loop_report
from iterqr_training.loop.settings import TUNED, LoopSettings
from iterqr_training.loop.traffic_source import TrafficSource

_HELP = "serve, have users search, learn from them, gate, canary, promote; again and again"
_EXAMPLES = """\
examples:
  iterqr-train loop --out build/loop --iterations 3 --traffic iterqr_benchmarks.marketplace.loop_traffic:small_market
  iterqr-train loop --out build/loop --iterations 5 --traffic shop.traffic:live_users     ... goes on after the third
  iterqr-train loop --out build/loop --traffic shop.traffic:live_users --with 'label: --min-clients 3' \\
      --with 'train: --epochs 3 --lora-rank 32' --with 'gate: --settings gates.toml'

--traffic names a function that takes a folder and a console and returns a `TrafficSource`
(iterqr_training.loop.traffic_source): a simulator, or what waits until enough people searched.

Each stage is the command of its name; what it printed is in OUT/iterations/N/logs. What is done is noted in
OUT/loop.json: stopped or killed, the same command goes on. A candidate that a gate, a detector or the canary refuses
ends its iteration, with the champion in place. At the end, and after each iteration, OUT/report.html and report.json.
Needs the extra `train`.
"""
_COMMANDS = (collect, attribute, experiment, label, dataset, train, export, evaluate, gate)
_LIMITS = {
    "max_empty_rise": "alarm empty_results: rise of the share of queries without results over the untuned model's",
    "max_drift_rise": "alarm semantic_drift: rise of the embedding distance over the untuned model's",
    "max_variety_loss": "alarm loop_collapse: share of the untuned model's distinct-2 that may be lost",
    "min_novelty": "alarm loop_collapse: novelty that is needed while it falls and distinct-2 does",
}
_NON_TERMINAL_WIDTH = 160


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """See `Command`."""
    parser = subparsers.add_parser(
        "loop", help=_HELP, description=_HELP, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(command=run)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="for all that is kept")
    parser.add_argument("--traffic", required=True, metavar="MODULE:FACTORY", help="who has users")
    add_loop_flags(parser)


def add_loop_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that do not say whose users they are."""
    defaults = LoopSettings(Path())
    parser.add_argument(
        "--iterations", type=int, default=defaults.iterations, metavar="N", help="(default %(default)s)"
    )
    parser.add_argument(
        "--canary-percent",
        type=int,
        default=defaults.canary_percent,
        metavar="P",
        help="of the clients that try a checkpoint first (default %(default)s)",
    )
    for each in fields(DetectorLimits):
        limit = getattr(defaults.limits, each.name)
        flag = f"--{each.name.replace('_', '-')}"
        help_text = f"{_LIMITS[each.name]} (default {limit:g})"
        parser.add_argument(flag, type=float, default=limit, metavar="X", help=help_text)
    parser.add_argument(
        "--no-general", action="store_true", help="do not measure what was forgotten (perplexity on general text)"
    )
    add_with_flag(parser, TUNED)


def loop_settings(
    options: argparse.Namespace, folder: Path, flags: Mapping[str, tuple[str, ...]] | None = None
) -> LoopSettings:
    """Returns what the flags of `add_loop_flags` say; `flags` of the traffic, by command, come before those given.

    Raises:
        SettingError: One is out of its limits.
    """
    given = flags_by_command(options, flags or {})
    limits = DetectorLimits(**{each.name: getattr(options, each.name) for each in fields(DetectorLimits)})
    return LoopSettings(folder, options.iterations, options.canary_percent, not options.no_general, given, limits)


def run(options: argparse.Namespace, console: Console) -> int:
    """See `Command`."""
    loop_settings(options, options.out)  # what is wrong with them is told before anything begins
    require_training()
    factory = _factory(options.traffic)
    options.out.mkdir(parents=True, exist_ok=True)
    source = factory(options.out / "traffic", console)
    return learn(loop_settings(options, options.out, source.flags), source, console)


def learn(settings: LoopSettings, source: TrafficSource, console: Console) -> int:
    """Runs the loop, or goes on with what is in the folder, and writes the report.

    Raises:
        TrainingError: A stage could not be done; what was done is noted, and the report tells it.
    """
    require_training()
    if not console.is_terminal:
        console = Console(file=console.file, width=_NON_TERMINAL_WIDTH)
    commands = InProcess(_COMMANDS)
    check_lines(settings, commands)
    with alone_in(settings.folder, "loop"):
        log = LoopLog(settings.folder, _identity(settings, source))

        def report() -> Path:
            return write_report(read_loop_report(settings, source.settings, log), settings.folder)

        try:
            with ExitStack() as running, LoopProgress(console, settings.iterations, log) as progress:
                work = LearningStages(settings, source, log, commands, running, progress.searched)
                run_loop(settings.iterations, work, log, progress, on_iteration=report)
        finally:
            if log.seconds():
                console.print(f"report: {report()}", highlight=False, markup=False, soft_wrap=True)
    return 0


def _identity(settings: LoopSettings, source: TrafficSource) -> str:
    """All that changes what is learned and measured. Of how many iterations, and by which limits, may change."""
    parts = [source.identity, settings.canary_percent, settings.measure_general]
    flags = sorted((name, list(each)) for name, each in settings.flags.items())
    return hashlib.sha256(json.dumps([*parts, flags], sort_keys=True).encode()).hexdigest()[:16]


def _factory(text: str) -> Callable[[Path, Console], TrafficSource]:
    module, colon, name = text.partition(":")
    if not (module and colon and name):
        raise SettingError(f"--traffic {text!r} is not like MODULE:FACTORY")
    sys.path.insert(0, str(Path.cwd()))  # a person's own module lies where they are
    try:
        found: Callable[[Path, Console], TrafficSource] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise SettingError(f"--traffic {text}: {error}") from error
    return found
