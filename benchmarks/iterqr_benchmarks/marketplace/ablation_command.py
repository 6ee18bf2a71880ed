"""`iterqr-bench ablation`: what each part of training is worth, on labels of a loop that `iterqr-bench loop` ran."""

from __future__ import annotations

import argparse
from pathlib import Path

from iterqr_training.commands.ablation_runs import ablation_settings, add_ablation_flags, run_ablation
from iterqr_training.dataset.rows import Band
from iterqr_training.errors import TrainingError
from rich.console import Console

from iterqr_benchmarks.errors import MarketplaceError
from iterqr_benchmarks.marketplace.loop_command import add_world_flags, loop_traffic
from iterqr_benchmarks.marketplace.loop_traffic import SimulatedTraffic
from iterqr_benchmarks.marketplace.settings import TrafficSettings
from iterqr_benchmarks.stack.settings import StackSettings

_EXAMPLES = """\
examples:
  iterqr-bench ablation                                    all six runs, on what build/loop learned last
  iterqr-bench ablation --variants without-hints           this one and the full run, if they are not there yet
  iterqr-bench ablation --loop /data/loop --iteration 2 --examples 600 --steps 60 --with 'train: --lora-rank 16'

The runs are full, without-quality, without-relevance, without-chain, without-hints and generation-only. Each has the
same number of examples, spread evenly over the tasks it learns as far as there are rows, and of steps; all else is
alike. A run without hints is served without them, too; one without chain of thought learns that fix, intent and meaning
are -, as the format wants the lines. A loop with a world of its own needs the same flags here (--dishes,
--heldout-tail).

Each stage is a command of `iterqr-train`; what it printed is in FOLDER/ablation/runs/RUN/logs. What is done is noted in
runs.json: stopped or killed, the same command goes on. The loop is only read. Writes ablation.json and ablation.md in
FOLDER/ablation: each measure with its change against the full run, and whether that is within noise. Needs the extra
`train`; a run's checkpoint, 2 GB, is deleted when it is evaluated.
"""


def add_bench_ablation_flags(parser: argparse.ArgumentParser) -> None:
    """Adds all flags but `--folder` and those of the stack, and examples."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLES
    parser.add_argument("--loop", type=Path, metavar="FOLDER", help="of the loop (default: loop in --folder)")
    add_ablation_flags(parser)
    add_world_flags(parser)


def run_bench_ablation(options: argparse.Namespace, stack: StackSettings, console: Console) -> int:
    """Does the runs that are not done yet, and writes the table.

    Raises:
        MarketplaceError: A stage could not be done, or the loop was in another world; what was done is kept.
    """
    loop: Path = options.loop or options.folder / "loop"
    folder: Path = options.folder / "ablation"
    traffic = loop_traffic(options, TrafficSettings(seed=stack.seed), stack, 1)
    source = SimulatedTraffic(folder / "traffic", traffic, console)
    try:
        flags = {name: source.flags[name] for name in ("train", "evaluate")}
        settings = ablation_settings(options, loop, folder, flags)
        for drawn in source.draw_truth():
            _require_same(drawn, loop / "traffic" / "truth" / drawn.name)
        band = None if options.band == "all" else Band(options.band)
        return run_ablation(settings, source.without_server, source.identity, band, console)
    except TrainingError as error:
        raise MarketplaceError(str(error)) from error


def _require_same(drawn: Path, of_loop: Path) -> None:
    """The world's flags tell what is measured on; it must be what the loop kept out of its data."""
    try:
        same = drawn.read_bytes() == of_loop.read_bytes()
    except OSError as error:
        raise MarketplaceError(f"{of_loop} cannot be read; --loop must be a folder of `iterqr-bench loop`") from error
    if not same:
        raise MarketplaceError(
            f"{of_loop} is not what these flags draw: give the flags of the loop's world (--seed, --dishes and the "
            f"like), and delete {drawn.parent}"
        )
