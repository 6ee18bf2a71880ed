"""Opens what labels are made of: tables on an engine, and titles of items."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from iterqr_training.errors import LabelFileError
from iterqr_training.labels.exposure_tables import LabelTables
from iterqr_training.signals import tables
from iterqr_training.signals.engines import Engine
from iterqr_training.signals.marts import Marts
from iterqr_training.signals.raw_files import RawFiles
from iterqr_training.signals.tables import TableSpec

_ID, _TITLE = "object_id", "title"


def open_tables(engine: Engine, signals: RawFiles, marts: Marts) -> LabelTables:
    """Opens the tables.

    Raises:
        EngineError: A file is damaged.
        StoreError: The files lack a column.
    """

    def raw(spec: TableSpec) -> Any:  # noqa: ANN401 - Ibis has no types
        return engine.read(spec, signals.of(spec))

    def mart(spec: TableSpec) -> Any:  # noqa: ANN401 - Ibis has no types
        return engine.read(spec, marts.files(spec))

    return LabelTables(
        impressions=raw(tables.IMPRESSIONS),
        rewrites=raw(tables.REWRITES),
        hits=raw(tables.HITS),
        hit_channels=raw(tables.HIT_CHANNELS),
        attributed_events=mart(tables.ATTRIBUTED_EVENTS),
        query_outcomes=mart(tables.QUERY_OUTCOMES),
        examination=mart(tables.EXAMINATION),
    )


def read_titles(path: Path) -> Mapping[str, str]:
    """Reads titles by object id: columns object_id and title of `*.parquet` or `*.csv`, else JSON lines.

    Raises:
        LabelFileError: It cannot be read, or a line lacks one of them.
    """
    try:
        return {object_id: title for object_id, title in _titles(path) if title.strip()}
    except (OSError, UnicodeDecodeError, ValueError, pa.ArrowException, csv.Error) as error:
        raise LabelFileError(f"{path}: {error}") from error


def _titles(path: Path) -> Iterator[tuple[str, str]]:
    if path.suffix.lower() == ".parquet":
        rows = pq.read_table(path, columns=[_ID, _TITLE])
        yield from zip(rows[_ID].to_pylist(), rows[_TITLE].to_pylist(), strict=True)
        return
    with path.open(encoding="utf-8", newline="") as file:
        lines: Iterator[Any] = (
            csv.DictReader(file)
            if path.suffix.lower() == ".csv"
            else (json.loads(line) for line in file if line.strip())
        )
        for number, row in enumerate(lines, 1):
            told = row if isinstance(row, dict) else {}
            if not isinstance(told.get(_ID), str) or not isinstance(told.get(_TITLE), str):
                raise ValueError(f"row {number}: {_ID} and {_TITLE} must be strings")
            yield told[_ID], told[_TITLE]
