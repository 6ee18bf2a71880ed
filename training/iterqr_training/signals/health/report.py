"""The findings for a person and for a program."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from iterqr_training.files import write_text
from iterqr_training.signals.health.settings import Bound
from iterqr_training.signals.health.verdict import Finding, State, worst

_VERSION = 1
_STYLES = {State.OK: "green", State.WARN: "yellow", State.FAIL: "bold red"}
_WORST_DAYS = 3


def health_table(found: Sequence[Finding]) -> Table:
    """Returns a table with a row for each measure and the days that are worse than the whole."""
    table = Table(title="signal health")
    for column in ("measure", "value", "bounds", "", "what was counted", "days beyond"):
        table.add_column(column, overflow="fold")
    for each in found:
        table.add_row(
            each.measure,
            _value(each.value),
            _bounds(each.bound),
            Text(each.state.value, style=_STYLES[each.state]),
            each.words,
            _days(each),
        )
    return table


def health_json(found: Sequence[Finding]) -> dict[str, Any]:
    """Returns the same as a JSON object, all days included."""
    return {
        "health_version": _VERSION,
        "state": worst(found).value,
        "measures": [
            {
                "measure": each.measure,
                "state": each.state.value,
                "value": each.value,
                "part": each.part,
                "whole": each.whole,
                "warn": each.bound.warn,
                "fail": each.bound.fail,
                "bound": "at_least" if each.bound.is_least else "at_most",
                "words": each.words,
                "days": [
                    {
                        "day": day.day,
                        "state": day.state.value,
                        "value": day.value,
                        "part": day.part,
                        "whole": day.whole,
                    }
                    for day in each.days
                ],
            }
            for each in found
        ],
    }


def write_health(path: Path, found: Sequence[Finding]) -> None:
    """Writes the JSON file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(health_json(found), indent=2) + "\n")


def _value(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _bounds(bound: Bound) -> str:
    sign = "≥" if bound.is_least else "≤"
    return f"{sign} {bound.warn:g}, {bound.fail:g}"


def _days(finding: Finding) -> str:
    beyond = [day for day in finding.days if day.state is not State.OK]
    beyond.sort(key=lambda day: (day.state is State.FAIL, day.whole), reverse=True)
    told = [f"{day.day} {_value(day.value)}" for day in beyond[:_WORST_DAYS]]
    more = len(beyond) - len(told)
    return ", ".join([*told, *([f"{more} more"] if more > 0 else [])])
