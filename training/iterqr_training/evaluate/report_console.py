"""The report on the console."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from iterqr_training.evaluate.evaluated import EvaluationReport
from iterqr_training.evaluate.side_by_side import Cell, Row, band_tables, whole_rows

_STYLES = {"good": "green", "bad": "red", "": ""}


def report_console(report: EvaluationReport) -> Group:
    """Returns a table of all queries, one of each band, and the measures without intervals."""
    evaluation = report.evaluation
    names = [system.name for system in evaluation.systems]
    parts: list[RenderableType] = [_table(each.title, names, each.rows) for each in band_tables(evaluation)]
    parts.append(_table("without intervals", names, whole_rows(evaluation)))
    return Group(*parts)


def _table(title: str, systems: list[str], rows: tuple[Row, ...]) -> Table:
    table = Table(title=Text(title), title_justify="left")
    table.add_column("")
    for name in systems:
        table.add_column(Text(name), justify="right")
    for row in rows:
        table.add_row(row.label, *(_cell(cell) for cell in row.cells))
    return table


def _cell(cell: Cell) -> Text:
    told = Text(cell.value, style=_STYLES[cell.tone])
    if cell.interval:
        told.append(f"\n{cell.interval}", style="dim")
    return told
