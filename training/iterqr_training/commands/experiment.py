"""`iterqr-train experiment`: does the channel help, and how sure is that?"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from iterqr_training.experiments.aa import SPLITS
from iterqr_training.experiments.analysis import AnalysisSettings, analyse
from iterqr_training.experiments.inputs import ExperimentFolders, read_experiment
from iterqr_training.experiments.report_console import report_console
from iterqr_training.experiments.report_files import write_report

_HELP = "compare the arms of an experiment, with intervals, and say what can be concluded"
_NON_TERMINAL_WIDTH = 160
_EXAMPLES = """\
examples:
  iterqr-train experiment --marts marts --out report
  iterqr-train experiment --marts marts --experiment rewrites-1 --shares control=50,treatment=50 --out report
  iterqr-train experiment --marts marts --pre marts-before --out report      CUPED: narrower intervals
  iterqr-train experiment --marts marts --paired replay --out report         replay/control, replay/treatment
  iterqr-train experiment --marts marts --paired replay --paired later --out report     all users of both
  iterqr-train experiment --marts marts --signals signals --out report       team-draft interleaving, too
  iterqr-train experiment --marts marts --aa --out report                    is the test right with these users?

Writes experiment.json and experiment.html. Exit status 1: users are not split as planned, or A/A does not hold.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "experiment",
        help=_HELP,
        description=_HELP,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--marts", type=Path, required=True, metavar="FOLDER", help="what `attribute` wrote")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="for the report")
    parser.add_argument("--experiment", metavar="NAME", help="which one (default: the only one)")
    parser.add_argument(
        "--shares",
        type=_shares,
        metavar="ARM=N,...",
        help="planned sizes of the arms, in any unit (default: equal)",
    )
    parser.add_argument("--pre", type=Path, metavar="FOLDER", help="marts of a time before the experiment, for CUPED")
    parser.add_argument(
        "--paired",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="has the folders control and treatment: marts of a paired replay; several are added up, by client",
    )
    parser.add_argument("--signals", type=Path, metavar="FOLDER", help="collected signals, for team-draft interleaving")
    parser.add_argument(
        "--judgments", type=Path, metavar="FOLDER", help="has rewrite_judgments.parquet or rewrite_truth.parquet"
    )
    parser.add_argument("--aa", action="store_true", help="also test control against itself")
    parser.add_argument("--splits", type=_positive, default=SPLITS, metavar="N", help=f"of --aa (default {SPLITS})")
    parser.add_argument("--seed", type=int, default=7, metavar="N", help="of everything random (default 7)")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace, console: Console) -> int:
    """Analyses, writes, and tells.

    Raises:
        TrainingError: A table is not there, or the experiment cannot be analysed as asked for.
    """
    settings = AnalysisSettings(
        experiment=options.experiment,
        shares=options.shares,
        aa_splits=options.splits if options.aa else 0,
        seed=options.seed,
    )
    folders = ExperimentFolders(options.marts, options.pre, options.paired, options.signals, options.judgments)
    report = analyse(read_experiment(folders), settings, datetime.now(UTC))
    page = write_report(report, options.out)
    if not console.is_terminal:
        console = Console(file=console.file, width=_NON_TERMINAL_WIDTH)
    console.print(report_console(report), highlight=False)
    console.print(str(page), highlight=False, markup=False, soft_wrap=True)
    return 0 if report.sample_ratio.matches and all(each.holds for each in report.aa) else 1


def _shares(text: str) -> tuple[tuple[str, float], ...]:
    shares = []
    for part in text.split(","):
        arm, _, size = part.partition("=")
        try:
            shares.append((arm, float(size)))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not like control=50,treatment=50") from None
    return tuple(shares)


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, 1 or more")
    return int(text)
