"""Spark makes of the same signals the same rows as DuckDB."""

from __future__ import annotations

from pathlib import Path

import pytest
from iterqr_dev_node.java import find_jdk
from iterqr_training.signals.engines import open_engine
from iterqr_training.signals.tables import MARTS, QUERIES
from support.signals.arithmetic import check_arithmetic
from support.signals.credit_cases import all_signals
from support.signals.marketplace import TOWN
from support.signals.raw_rows import Signals
from support.signals.running import run_attribution

pytest.importorskip("pyspark")


@pytest.mark.timeout(900)  # most of it is Java compiling what Spark generates
def test_marts_are_the_same_row_for_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(find_jdk().home))
    # Neither engine may take the times for those of its own zone.
    monkeypatch.setenv("TZ", "America/New_York")
    cases = all_signals()
    signals = Signals((*cases.pages, *TOWN.pages), (*cases.events, *TOWN.events))
    with open_engine("duckdb://?threads=2") as duckdb:
        expected = run_attribution(duckdb, signals, tmp_path)
    with open_engine("spark+local?driver_memory=1g&shuffle_partitions=3&spark.ui.enabled=false") as spark:
        check_arithmetic(spark, tmp_path)
        assert spark.read(QUERIES, []).to_pyarrow().num_rows == 0
        found = run_attribution(spark, signals, tmp_path)
    for spec in MARTS:
        assert expected.rows(spec)
        assert found.rows(spec) == expected.rows(spec), spec.name
