"""The verdict of the check, for a person and for a program."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from iterqr_training.errors import CheckFailedError
from iterqr_training.files import write_text
from iterqr_training.signals.attribution_check.comparison import CaseResult

_VERSION = 1


def check_table(results: Sequence[CaseResult]) -> Table:
    """Returns a table with a row for each case."""
    table = Table(title="attribution of planted searches")
    for column in ("case", "rule", "events", "", "what is wrong"):
        table.add_column(column, overflow="fold")
    for each in results:
        state = Text("credited", style="green") if each.holds else Text("wrong", style="bold red")
        table.add_row(each.name, each.rule, str(each.events), state, "\n".join(each.problems))
    return table


def check_json(results: Sequence[CaseResult]) -> dict[str, Any]:
    """Returns the same as a JSON object."""
    return {
        "attribution_check_version": _VERSION,
        "holds": all(each.holds for each in results),
        "cases": [
            {
                "case": each.name,
                "rule": each.rule,
                "events": each.events,
                "holds": each.holds,
                "problems": list(each.problems),
            }
            for each in results
        ],
    }


def write_check(path: Path, results: Sequence[CaseResult]) -> None:
    """Writes the JSON file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(check_json(results), indent=2) + "\n")


def require_right_credit(results: Sequence[CaseResult]) -> None:
    """Lets nobody go on who would learn from wrong credit.

    Raises:
        CheckFailedError: A case does not hold; the message names all that do not.
    """
    wrong = [each.name for each in results if not each.holds]
    if wrong:
        raise CheckFailedError(
            f"{len(wrong)} of {len(results)} planted cases are not credited as known ({', '.join(wrong)}): "
            "nothing may be learned from these signals"
        )
