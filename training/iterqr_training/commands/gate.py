"""`iterqr-train gate`: whether a checkpoint may take the champion's place."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from iterqr_training.evaluate.evaluation_json import read_evaluation
from iterqr_training.gates.check import check_gates
from iterqr_training.gates.datasheet import LabelAgreement, read_label_agreement
from iterqr_training.gates.report import gate_table, write_gate_report
from iterqr_training.gates.settings import GATES, GateSettings, read_gate_settings

_HELP = "tell whether a checkpoint may take the champion's place, and if not, why"
_EXAMPLES = f"""\
examples:
  iterqr-train gate --evaluation build/evaluation/evaluation.json --candidate candidate --champion untuned
  iterqr-train gate --evaluation evaluation.json --candidate candidate --champion champion \\
      --datasheet dataset/datasheet.json --settings gates.toml --json gate.json

gates.toml has the table [gates]: bounds (max_harm_rate = 0.03), band, and required, the gates that must be measured.
Gates: {", ".join(GATES)}.
Exit status 1: refused; the words and the JSON say why.
"""
_NON_TERMINAL_WIDTH = 160


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """See `Command`."""
    parser = subparsers.add_parser(
        "gate", help=_HELP, description=_HELP, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(command=run)
    parser.add_argument("--evaluation", type=Path, required=True, metavar="FILE", help="what `evaluate` wrote")
    parser.add_argument("--candidate", required=True, metavar="NAME", help="system that wants to serve")
    parser.add_argument("--champion", required=True, metavar="NAME", help="system that serves")
    parser.add_argument(
        "--baseline", default="", metavar="NAME", help="system to compare latency with (default: the champion)"
    )
    parser.add_argument("--datasheet", type=Path, metavar="FILE", help="of the data that the candidate learned from")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="bounds (default: built in)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="to write the verdict to")


def run(options: argparse.Namespace, console: Console) -> int:
    """See `Command`."""
    settings = GateSettings() if options.settings is None else read_gate_settings(options.settings)
    labels = LabelAgreement() if options.datasheet is None else read_label_agreement(options.datasheet)
    evaluation = read_evaluation(options.evaluation)
    report = check_gates(evaluation, options.candidate, options.champion, settings, labels, baseline=options.baseline)
    if options.json is not None:
        write_gate_report(options.json, report)
    if not console.is_terminal:
        console = Console(file=console.file, width=_NON_TERMINAL_WIDTH)
    console.print(gate_table(report), highlight=False)
    console.print(report.verdict, highlight=False, markup=False, soft_wrap=True)
    return 0 if report.passed else 1
