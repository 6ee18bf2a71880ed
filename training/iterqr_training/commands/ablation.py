"""`iterqr-train ablation`: what each part of training is worth."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from iterqr_training.dataset.rows import Band
from iterqr_training.errors import SettingError
from iterqr_training.evaluate.ablation import AblationRun, ablate
from iterqr_training.evaluate.ablation_report import ablation_table, conclusions, write_ablation
from iterqr_training.evaluate.evaluation_json import read_evaluation

_HELP = "compare runs of training with the full one, and tell what is within noise"
_EXAMPLES = """\
examples:
  iterqr-train ablation --run full=a/evaluation.json:full --run "without quality"=a/evaluation.json:no-quality \\
      --run "without hints"=b/evaluation.json:no-hints --out build/ablation

Each run is LABEL=EVALUATION:SYSTEM; the first is what the others are compared with. All must have been measured on the
same truth set. Writes ablation.json and ablation.md. `iterqr-bench ablation` does the runs on a simulated marketplace.
"""
TABLE_WIDTH = 220


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """See `Command`."""
    parser = subparsers.add_parser(
        "ablation",
        help=_HELP,
        description=_HELP,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=run)
    parser.add_argument("--run", action="append", required=True, metavar="LABEL=FILE:SYSTEM", help="the full one first")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="for the table")
    parser.add_argument("--band", choices=["all", *Band], default=Band.TAIL.value, help="of queries (default tail)")


def run(options: argparse.Namespace, console: Console) -> int:
    """See `Command`."""
    band = None if options.band == "all" else Band(options.band)
    ablation = ablate([_run(text) for text in options.run], band)
    page = write_ablation(ablation, options.out)
    if not console.is_terminal:
        console = Console(file=console.file, width=TABLE_WIDTH)
    console.print(ablation_table(ablation), highlight=False)
    for words in conclusions(ablation):
        console.print(f"• {words}", highlight=False, markup=False, soft_wrap=True)
    console.print(str(page), highlight=False, markup=False, soft_wrap=True)
    return 0


def _run(text: str) -> AblationRun:
    label, _, rest = text.partition("=")
    file, _, system = rest.rpartition(":")
    if not (label and file and system):
        raise SettingError(f"--run: {text!r} is not like LABEL=FILE:SYSTEM")
    evaluation = read_evaluation(Path(file))
    return AblationRun(label, evaluation, evaluation.system(system))
