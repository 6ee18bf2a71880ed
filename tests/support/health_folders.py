"""Folders of signals and marts, as collection and attribution leave them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from iterqr_training.signals.marts import write_marts
from iterqr_training.signals.tables import MARTS, RAW
from support.health_rows import HealthRows


def write_folders(rows: HealthRows, folder: Path) -> tuple[Path, Path]:
    """Writes them below a folder; returns that of the signals and that of the marts."""
    tables = rows.tables()
    signals, marts = folder / "signals", folder / "marts"
    for spec in RAW:
        _write(tables.get(spec.name, spec.schema.empty_table()), signals / spec.name)

    def write(generation: Path) -> Mapping[str, object]:
        for spec in MARTS:
            _write(tables.get(spec.name, spec.schema.empty_table()), generation / spec.name)
        return {}

    write_marts(marts, write)
    return signals, marts


def _write(table: pa.Table, folder: Path) -> None:
    folder.mkdir(parents=True)
    pq.write_table(table, folder / "part-0.parquet")
