"""Reads a dataset's folder and checks it row by row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from iterqr_server.models.cache import sha256_of

from iterqr_training.dataset.rows import EXAMPLES, Task
from iterqr_training.errors import DatasetError

_READ = ("example_id", "task", "query", "hints", "subject", "target", "weight", "iteration")


@dataclass(frozen=True, slots=True)
class Row:
    """What training needs of a row; see `dataset.rows`."""

    example_id: str
    task: Task
    query: str
    hints: tuple[str, ...]
    subject: str
    target: str
    weight: float
    iteration: int


@dataclass(frozen=True, slots=True)
class Split:
    """The rows of one file that are of the tasks asked for, in the file's order, and how many others there are."""

    rows: tuple[Row, ...]
    other_tasks: int
    sha256: str


def read_split(folder: Path, name: str, tasks: Iterable[Task]) -> Split:
    """Reads `<name>.parquet`.

    Raises:
        DatasetError: The file is missing, damaged or of another schema, a row has an unknown task, an empty target or a
            weight that is not a positive number, or no row is of the tasks.
    """
    file = folder / f"{name}.parquet"
    wanted = frozenset(tasks)
    try:
        table = pq.read_table(file, columns=list(_READ))
    except FileNotFoundError as error:
        raise DatasetError(f"{file} is missing; `iterqr-train dataset` writes it") from error
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{file} cannot be read: {error}") from error
    _check_schema(file, table.schema)
    rows = [_row(file, number, values) for number, values in enumerate(table.to_pylist(), start=1)]
    seen: set[str] = set()
    for number, row in enumerate(rows, start=1):
        if row.example_id in seen:
            raise DatasetError(f"{file}: row {number}: example_id: {row.example_id!r} is there twice")
        seen.add(row.example_id)
    kept = tuple(row for row in rows if row.task in wanted)
    if not kept:
        names = ", ".join(task for task in Task if task in wanted)
        raise DatasetError(f"{file} has no row of {names}: split {name} must not be empty ({len(rows)} rows in all)")
    return Split(kept, len(rows) - len(kept), sha256_of(file))


def _check_schema(file: Path, schema: pa.Schema) -> None:
    names: Sequence[str] = schema.names
    if missing := [name for name in _READ if name not in names]:
        raise DatasetError(f"{file} lacks the column {missing[0]!r}")
    for name in _READ:
        found, wanted = schema.field(name).type, EXAMPLES.field(name).type
        if found != wanted and not (pa.types.is_list(found) and found.value_type == wanted.value_type):
            raise DatasetError(f"{file}: column {name!r} is of type {found}, must be {wanted}")


def _row(file: Path, number: int, values: dict[str, Any]) -> Row:
    try:
        task = Task(values["task"])
    except ValueError:
        known = ", ".join(Task)
        raise DatasetError(f"{file}: row {number}: task: must be one of {known}, got {values['task']!r}") from None
    for name, value in values.items():
        if value is None:
            raise DatasetError(f"{file}: row {number}: {name}: must not be null")
    if not values["target"].strip():
        raise DatasetError(f"{file}: row {number}: target: must not be empty")
    if not (math.isfinite(values["weight"]) and values["weight"] > 0):
        raise DatasetError(f"{file}: row {number}: weight: must be a number above 0, got {values['weight']}")
    return Row(
        example_id=values["example_id"],
        task=task,
        query=values["query"],
        hints=tuple(values["hints"]),
        subject=values["subject"],
        target=values["target"],
        weight=values["weight"],
        iteration=values["iteration"],
    )
