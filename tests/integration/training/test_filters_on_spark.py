"""The filters give on Spark what they give on DuckDB, row for row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from iterqr_dev_node.java import find_jdk
from iterqr_training.signals.filters import mark
from iterqr_training.signals.tables import EVENTS, HITS, IMPRESSIONS
from pyspark.sql import SparkSession
from support.signal_rows import LIMITS, adverse_world


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    """Spark with a time zone that is not UTC: nothing may depend on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_HOME", str(find_jdk().home))
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        builder = SparkSession.builder.master("local[1]").appName("filters")
        for name, value in {
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.log.level": "ERROR",
            "spark.sql.shuffle.partitions": "1",
            "spark.sql.adaptive.enabled": "false",  # small tables: what plans and compiles queries takes longest
            "spark.sql.codegen.wholeStage": "false",
            "spark.sql.session.timeZone": "Asia/Tokyo",
        }.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        yield session
        session.stop()


def test_spark_leaves_out_what_duckdb_leaves_out(spark: SparkSession, tmp_path: Path) -> None:
    world = adverse_world(seed=5)
    backend = ibis.pyspark.connect(spark)
    for spec, rows in zip((IMPRESSIONS, HITS, EVENTS), world.arrow(), strict=True):
        file = tmp_path / f"{spec.name}.parquet"
        pq.write_table(rows, file)
        spark.read.parquet(str(file)).createOrReplaceTempView(spec.name)
    impressions, hits, events = (backend.table(spec.name) for spec in (IMPRESSIONS, HITS, EVENTS))
    on_spark, on_duckdb = mark(impressions, hits, events, LIMITS), world.marked()
    for table, expected in ((on_spark.impressions, on_duckdb.impressions), (on_spark.events, on_duckdb.events)):
        found = backend.to_pyarrow(table.mutate(timestamp=table.timestamp.epoch_seconds() // 1))
        wanted = expected.mutate(timestamp=expected.timestamp.epoch_seconds() // 1).to_pyarrow()
        assert rows_of(found) == rows_of(wanted)
        assert len(set(found["left_out"].to_pylist())) > 3


def rows_of(table: pa.Table) -> list[tuple[str, ...]]:
    return sorted(tuple(str(value) for value in row.values()) for row in table.to_pylist())
