"""Spark counts of the same signals what DuckDB counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from iterqr_dev_node.java import find_jdk
from iterqr_training.main import main
from support.health_folders import write_folders
from support.health_rows import troubled

pytest.importorskip("pyspark")


def test_health_is_the_same_on_both_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(find_jdk().home))
    monkeypatch.setenv("TZ", "America/New_York")  # neither engine may cut days by its own zone
    signals, marts = write_folders(troubled(), tmp_path)

    def health(engine: str) -> dict[str, Any]:
        report = tmp_path / "health.json"
        with pytest.raises(SystemExit):  # these signals are troubled
            main(
                ["health", "--signals", str(signals), "--marts", str(marts), "--json", str(report), "--engine", engine]
            )
        told: dict[str, Any] = json.loads(report.read_text())
        report.unlink()
        return told

    on_duckdb = health("duckdb://")
    assert {each["measure"] for each in on_duckdb["measures"] if each["whole"]} >= {"orphans", "early", "labelled_tail"}
    assert health("spark+local?driver_memory=1g&shuffle_partitions=2") == on_duckdb
