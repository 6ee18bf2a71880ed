"""Attribution in this process: DuckDB, which spills to disk what its memory cannot hold."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow.parquet as pq

from iterqr_training.errors import EngineError
from iterqr_training.signals.engines import Engine, conform, first_line
from iterqr_training.signals.tables import TableSpec


class _DuckDb:
    kind = "duckdb"

    def __init__(self, backend: ibis.BaseBackend, own: Path) -> None:
        self._backend = backend
        self._own = own

    def read(self, spec: TableSpec, files: Sequence[Path]) -> ir.Table:
        paths = list(files) or [self._empty(spec)]
        # A folder named like `date=2026-01-01` must not become a column.
        return conform(self._backend.read_parquet(paths, hive_partitioning=False), spec)

    def write(self, table: ir.Table, folder: Path) -> None:
        folder.mkdir(parents=True)
        try:
            self._backend.to_parquet(table, folder / "part-0.parquet", compression="zstd")
        except duckdb.Error as error:
            raise EngineError(f"DuckDB: {first_line(error)}") from error

    def _empty(self, spec: TableSpec) -> Path:
        """A file without rows: DuckDB learns a schema only from one."""
        file = self._own / f"{spec.name}-empty.parquet"
        pq.write_table(spec.schema.empty_table(), file)
        return file


@contextlib.contextmanager
def duckdb_engine(options: Mapping[str, str], own: Path) -> Iterator[Engine]:
    """Opens DuckDB, which may use the folder `own` for what it spills.

    Raises:
        EngineError: It refuses an option.
    """
    config = {"temp_directory": str(own), "preserve_insertion_order": "false"}
    config |= {name: options[name] for name in ("memory_limit", "threads") if name in options}
    try:
        backend = ibis.duckdb.connect(**config)
        backend.con.execute("SET TimeZone = 'UTC'")  # not among those that can be given at the start
    except duckdb.Error as error:
        raise EngineError(f"DuckDB cannot be started: {first_line(error)}") from error
    try:
        yield _DuckDb(backend, own)
    finally:
        backend.disconnect()
