"""Spark makes of the same signals the same rows as DuckDB."""

from __future__ import annotations

from pathlib import Path

import pytest
from iterqr_dev_node.java import find_jdk
from iterqr_training.signals.engines import open_engine
from iterqr_training.signals.tables import ATTRIBUTED_EVENTS, MARTS
from support.signals.credit_cases import all_signals
from support.signals.raw_rows import Signals
from support.signals.running import run_attribution

pytest.importorskip("pyspark")


def test_marts_are_the_same_row_for_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(find_jdk().home))
    # Neither engine may take the times for those of its own zone.
    monkeypatch.setenv("TZ", "America/New_York")
    with open_engine("duckdb://?threads=2") as duckdb:
        expected = run_attribution(duckdb, all_signals(), tmp_path / "cases")
        nothing = run_attribution(duckdb, Signals(), tmp_path / "nothing")
    with open_engine("spark+local?driver_memory=1g&shuffle_partitions=3&spark.ui.enabled=false") as spark:
        found = run_attribution(spark, all_signals(), tmp_path / "cases")
        found_nothing = run_attribution(spark, Signals(), tmp_path / "nothing")
    assert expected.rows(ATTRIBUTED_EVENTS)
    for spec in MARTS:
        assert found.rows(spec) == expected.rows(spec), spec.name
        assert found_nothing.rows(spec) == nothing.rows(spec), spec.name
