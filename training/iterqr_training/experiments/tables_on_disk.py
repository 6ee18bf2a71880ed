"""Reads a table of signals or a mart from its folder."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from iterqr_training.errors import StoreError
from iterqr_training.signals.tables import TableSpec


def has_table(folder: Path, spec: TableSpec) -> bool:
    """Whether the folder holds the table."""
    return _path(folder, spec) is not None


def read_table(folder: Path, spec: TableSpec) -> pa.Table:
    """Returns the whole table with the columns and types of its contract.

    It is the folder or the file `NAME.parquet`, named for the table; a folder may be partitioned (`day=2026-01-01`).

    Raises:
        StoreError: It is not there, cannot be read, or lacks a column.
    """
    path = _path(folder, spec)
    if path is None:
        raise StoreError(f"{spec.name}: no such table in {folder}")
    try:
        stored = ds.dataset(path, format="parquet", partitioning="hive")
        missing = sorted(set(spec.schema.names) - set(stored.schema.names))
        if missing:
            raise StoreError(f"{spec.name} in {folder}: lacks the columns {', '.join(missing)}")
        return stored.to_table(columns=spec.schema.names).cast(spec.schema)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{spec.name} in {folder}: {error}") from error


def _path(folder: Path, spec: TableSpec) -> Path | None:
    for path in (folder / spec.name, folder / f"{spec.name}.parquet"):
        if path.exists():
            return path
    return None
