"""The runs of an ablation, and the table of them: what has a loop's world calls this."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from rich.console import Console

from iterqr_training.ablation.command_lines import AblationLines
from iterqr_training.ablation.settings import EXAMPLES, MAX_STEPS, TUNED, AblationSettings
from iterqr_training.ablation.source import find_source
from iterqr_training.ablation.stages import AblationStages, ablation_log, evaluated_runs, run_all
from iterqr_training.ablation.variants import Variant
from iterqr_training.commands import dataset, evaluate, export, train
from iterqr_training.commands.ablation import TABLE_WIDTH
from iterqr_training.commands.ablation_progress import AblationProgress
from iterqr_training.commands.in_process import InProcess
from iterqr_training.commands.with_flag import add_with_flag, flags_by_command
from iterqr_training.dataset.rows import Band
from iterqr_training.evaluate.ablation import ablate
from iterqr_training.evaluate.ablation_report import ablation_table, conclusions, write_ablation
from iterqr_training.loop.alone_in import alone_in
from iterqr_training.loop.command_runner import CommandRunner, require_training
from iterqr_training.loop.traffic_source import Site

SiteOpener = Callable[[], AbstractContextManager[Site]]
_COMMANDS = (dataset, train, export, evaluate)
_CHECKED = Site("http://127.0.0.1:1", "", "items", *(Path("-"),) * 3, None, "base")


def add_ablation_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that do not say where the loop's world is."""
    parser.add_argument(
        "--iteration", type=int, metavar="N", help="whose labels are learned from (default: the latest with a dataset)"
    )
    parser.add_argument(
        "--variants",
        type=_variants,
        default=tuple(Variant),
        metavar="LIST",
        help=f"what is trained, of {', '.join(Variant)}; full always is (default: all)",
    )
    parser.add_argument(
        "--examples",
        type=int,
        default=EXAMPLES,
        metavar="N",
        help=f"of each run, of all its tasks (default {EXAMPLES})",
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=0,
        metavar="N",
        help=f"of each run, at most {MAX_STEPS:,} (default: three passes over the examples in steps of 16)",
    )
    parser.add_argument(
        "--band", choices=["all", *Band], default=Band.TAIL.value, help="of the table's queries (default tail)"
    )
    add_with_flag(parser, TUNED)


def ablation_settings(
    options: argparse.Namespace, loop: Path, folder: Path, flags: Mapping[str, tuple[str, ...]]
) -> AblationSettings:
    """Returns what the flags of `add_ablation_flags` say.

    Args:
        options: Parsed.
        loop: Folder of the loop.
        folder: Of the ablation.
        flags: By command; those of `dataset` come after the rules of the loop's own dataset, those given come last.

    Raises:
        TrainingError: A setting is out of its limits, or the loop has no such dataset.
    """
    source = find_source(loop, options.iteration)
    given = {**flags, "dataset": (*dataset.rule_flags(source.rules), *flags.get("dataset", ()))}
    return AblationSettings(
        folder, source, options.variants, options.examples, options.steps, flags_by_command(options, given)
    )


def run_ablation(
    settings: AblationSettings, site: SiteOpener, identity: str, band: Band | None, console: Console
) -> int:
    """Trains, exports and evaluates each variant, or goes on with what is in the folder; then writes the table.

    Args:
        settings: Of the ablation.
        site: Starts the node that results are measured on.
        identity: Of all that its answers depend on.
        band: Of the table's queries; None: all.
        console: For people.

    Returns:
        0.

    Raises:
        TrainingError: A stage could not be done; what was done is noted.
    """
    require_training()
    if not console.is_terminal:
        console = Console(file=console.file, width=TABLE_WIDTH)
    commands = InProcess(_COMMANDS)
    check_runs(settings, commands)
    with alone_in(settings.folder, "ablation"):
        log = ablation_log(settings.folder, _identity(settings, identity))
        with ExitStack() as running, AblationProgress(console, settings, log) as progress:
            run_all(settings, AblationStages(settings, site, commands, running), log, progress)
        runs = list(evaluated_runs(settings, log))
    if len(runs) < 2:
        console.print("there is nothing to compare the full run with: choose more --variants", highlight=False)
        return 0
    ablation = ablate(runs, band)
    page = write_ablation(ablation, settings.folder)
    console.print(ablation_table(ablation), highlight=False)
    for words in conclusions(ablation):
        console.print(f"• {words}", highlight=False, markup=False, soft_wrap=True)
    console.print(str(page), highlight=False, markup=False, soft_wrap=True)
    return 0


def check_runs(settings: AblationSettings, commands: CommandRunner) -> None:
    """Parses the line of every stage of every run; a wrong flag ends the program as argparse does."""
    for variant in settings.planned:
        lines = AblationLines(settings, variant)
        for line in (
            lines.dataset(_CHECKED),
            lines.train(_CHECKED),
            lines.export(_CHECKED),
            lines.evaluate(_CHECKED, "127.0.0.1:1"),
        ):
            commands.check(line)


def _identity(settings: AblationSettings, site: str) -> str:
    """All that changes what is learned and measured. Which variants there are may change."""
    parts = [site, settings.source.datasheet_sha256, settings.examples, settings.planned_steps]
    flags = sorted((name, list(each)) for name, each in settings.flags.items())
    return hashlib.sha256(json.dumps([*parts, flags], sort_keys=True).encode()).hexdigest()[:16]


def _variants(text: str) -> tuple[Variant, ...]:
    try:
        return tuple(Variant(name) for name in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of {', '.join(Variant)}") from None
