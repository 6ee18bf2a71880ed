"""Attribution on Spark: in this machine's cores, or on a cluster whose machines see the same folders."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis.backends.pyspark.datatypes import PySparkSchema
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from iterqr_training.errors import EngineError
from iterqr_training.signals.engines import Engine, conform, first_line
from iterqr_training.signals.tables import TableSpec

_DEFAULTS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",  # overflow is an error, as in DuckDB
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.log.level": "ERROR",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.memory": "4g",
}
_PARTITIONS_A_CORE = 32  # of a shuffle; adaptive execution joins small ones, and large ones would spill


class _Spark:
    kind = "spark"

    def __init__(self, session: SparkSession) -> None:
        self._session = session
        self._backend = ibis.pyspark.connect(session)
        self._views = 0

    def read(self, spec: TableSpec, files: Sequence[Path]) -> ir.Table:
        self._views += 1
        name = f"{spec.name}_{self._views}"
        with _told():
            if files:
                rows = self._session.read.parquet(*(f"file://{path.absolute()}" for path in files))
            else:
                schema = PySparkSchema.from_ibis(ibis.Schema.from_pyarrow(spec.schema))
                rows = self._session.createDataFrame([], schema)
            rows.createOrReplaceTempView(name)
            table = self._backend.table(name)
        return conform(table, spec)

    def write(self, table: ir.Table, folder: Path) -> None:
        with _told():
            self._backend.to_parquet_dir(table, f"file://{folder.absolute()}", options={"compression": "zstd"})

    def collect(self, table: ir.Table) -> pa.Table:
        with _told():
            return self._backend.to_pyarrow(table)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise EngineError(f"Spark: {first_line(error)}") from error


@contextlib.contextmanager
def spark_engine(master: str, options: Mapping[str, str], own: Path) -> Iterator[Engine]:
    """Starts a Spark session, which may use the folder `own` for what it spills.

    Raises:
        EngineError: It cannot be started.
    """
    partitions = _PARTITIONS_A_CORE * (os.cpu_count() or 1)
    config = {
        **_DEFAULTS,
        "spark.local.dir": str(own),
        "spark.sql.warehouse.dir": str(own / "warehouse"),
        "spark.sql.shuffle.partitions": options.get("shuffle_partitions", str(partitions)),
        **{name: value for name, value in options.items() if name.startswith("spark.")},
    }
    if "driver_memory" in options:
        config["spark.driver.memory"] = options["driver_memory"]
    builder = SparkSession.builder.master(master).appName("iterqr-train")
    for name, value in config.items():
        builder = builder.config(name, value)
    try:
        session = builder.getOrCreate()
        session.sparkContext.setLogLevel("ERROR")
    except (PySparkException, Py4JError, OSError) as error:
        raise EngineError(f"Spark cannot be started at {master}: {first_line(error)}") from error
    try:
        yield _Spark(session)
    finally:
        session.stop()
