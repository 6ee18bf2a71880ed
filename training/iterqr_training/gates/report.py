"""The gates' verdict for programs and on the console."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from iterqr_training.evaluate.evaluation_json import plain
from iterqr_training.files import write_whole
from iterqr_training.gates.check import GateReport, State

SCHEMA = "iterqr-gate/v1"
_STYLES = {State.PASSED: "green", State.REFUSED: "red", State.NOT_MEASURED: "yellow"}
_WORDS = {State.PASSED: "passed", State.REFUSED: "REFUSED", State.NOT_MEASURED: "not measured"}


def gate_document(report: GateReport) -> dict[str, Any]:
    """Returns the report as the manifest's `gate_report` has it; null for what was not measured."""
    return {
        "schema": SCHEMA,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "passed": report.passed,
        "verdict": report.verdict,
        **plain(report),
    }


def write_gate_report(file: Path, report: GateReport) -> None:
    """Writes the report as JSON.

    Raises:
        StoreError: It cannot be written.
    """
    write_whole(file, json.dumps(gate_document(report), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def gate_table(report: GateReport) -> Table:
    """Returns the gates with their sentences."""
    table = Table(title=Text(f"{report.candidate} against {report.champion}"), title_justify="left")
    table.add_column("gate", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("found and wanted")
    for each in report.gates:
        _, _, told = each.sentence.partition(": ")
        table.add_row(each.name, Text(_WORDS[each.state], style=_STYLES[each.state]), told)
    return table
