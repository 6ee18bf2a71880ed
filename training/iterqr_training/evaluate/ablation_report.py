"""The ablation table as Markdown, as JSON and on the console."""

from __future__ import annotations

import json
import math
from pathlib import Path

from rich.table import Table
from rich.text import Text

from iterqr_training.dataset.rows import Task
from iterqr_training.evaluate.ablation import SCHEMA, Ablation, AblationCell, AblationRow, label_of
from iterqr_training.evaluate.evaluation_json import plain
from iterqr_training.evaluate.measures import BY_NAME
from iterqr_training.experiments.wording import decimal, interval, percent, signed, signed_percent
from iterqr_training.files import write_whole

_STYLES = {"good": "green", "bad": "red", "": ""}
_NOISE = "≈"
_LIMITS = """\
Intervals are over queries: what another seed of training would change is in none of them. Of {count} differences \
about one in twenty is beyond noise by chance alone."""


def write_ablation(ablation: Ablation, folder: Path) -> Path:
    """Writes `ablation.json` and `ablation.md`, and returns the latter's path.

    Raises:
        StoreError: The folder cannot be written.
    """
    document = {"schema": SCHEMA, **plain(ablation)}
    for row, told in zip(ablation.rows, document["rows"], strict=True):
        for cell, said in zip(row.cells, told["cells"], strict=True):
            said["within_noise"] = cell.within_noise
    write_whole(folder / "ablation.json", json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    page = folder / "ablation.md"
    write_whole(page, ablation_markdown(ablation))
    return page


def ablation_markdown(ablation: Ablation) -> str:
    """Returns the table, what it says of each run, what it does not say, and what each run learned from."""
    names = [name for name in ablation.measures if _measured(ablation, name)]
    lines = [
        "| run | " + " | ".join(label_of(name) for name in names) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for row in ablation.rows:
        cells = [_words(cell) for cell in row.cells if cell.measure in names]
        lines.append(f"| {row.label.replace('|', '/')} | " + " | ".join(cells) + " |")
    told = [f"- {words}" for words in conclusions(ablation)]
    return "\n".join(
        [
            *lines,
            "",
            *told,
            "",
            _note(ablation),
            "",
            _LIMITS.format(count=len(told) * len(names)),
            *_budgets(ablation),
            "",
        ]
    )


def conclusions(ablation: Ablation) -> tuple[str, ...]:
    """Returns a sentence on each run but the full one: in what it differs beyond noise, and that all else does not."""
    return tuple(f"{row.label}: {_conclusion(row)}" for row in ablation.rows[1:])


def ablation_table(ablation: Ablation) -> Table:
    """Returns the table for the console."""
    names = [name for name in ablation.measures if _measured(ablation, name)]
    table = Table(title=Text("ablation"), title_justify="left", caption=_note(ablation), caption_justify="left")
    table.add_column("run")
    for name in names:
        table.add_column(label_of(name), justify="right")
    for row in ablation.rows:
        cells = [Text(_words(cell), style=_STYLES[cell.tone]) for cell in row.cells if cell.measure in names]
        table.add_row(Text(row.label), *cells)
    return table


def _conclusion(row: AblationRow) -> str:
    compared = [cell for cell in row.cells if math.isfinite(cell.change.low)]
    beyond = [cell for cell in compared if not cell.within_noise]
    if not compared:
        return "nothing can be compared"
    if not beyond:
        return "all of it is within noise"
    parts = []
    for tone, words in (("bad", "worse"), ("good", "better"), ("", "other")):
        if mine := [f"{label_of(cell.measure)} ({_change(cell)})" for cell in beyond if cell.tone == tone]:
            parts.append(f"{words} in {', '.join(mine)}")
    if len(beyond) < len(compared):
        parts.append("all else is within noise")
    return "; ".join(parts)


def _budgets(ablation: Ablation) -> list[str]:
    known = [(row, row.budget) for row in ablation.rows if row.budget is not None]
    if not known:
        return []
    lines = ["", f"| run | {' | '.join(Task)} | training examples in all | steps |", "|---" * (len(Task) + 3) + "|"]
    for row, budget in known:
        counts = [budget.examples.get(task, 0) for task in Task]
        cells = [row.label.replace("|", "/"), *(f"{count:,}" for count in [*counts, sum(counts), budget.steps])]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _note(ablation: Ablation) -> str:
    band = ablation.band.value if ablation.band else "all"
    first = ablation.rows[0].label
    return (
        f"{ablation.queries:,} {band} queries; in brackets the change against {first} with its paired 95% interval. "
        f"{_NOISE}: within noise, the interval holds 0."
    )


def _measured(ablation: Ablation, name: str) -> bool:
    return any(math.isfinite(cell.value.value) for row in ablation.rows for cell in row.cells if cell.measure == name)


def _words(cell: AblationCell) -> str:
    is_share = BY_NAME[cell.measure].is_share
    value = percent(cell.value.value) if is_share else decimal(cell.value.value)
    if math.isnan(cell.change.low):
        return value
    return f"{value} ({_change(cell)}){' ' + _NOISE if cell.within_noise else ''}"


def _change(cell: AblationCell) -> str:
    if BY_NAME[cell.measure].is_share:
        ends = f"{signed_percent(cell.change.low)} to {signed_percent(cell.change.high)}"
        return f"{signed_percent(cell.change.value)}, {ends}"
    return f"{signed(cell.change.value)}, {interval(cell.change)}"
