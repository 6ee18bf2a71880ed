"""`iterqr-bench signals`, small: generated, attributed in a process of its own, reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from iterqr_benchmarks import main as cli
from iterqr_benchmarks.signal_scale.measuring import measure


def test_it_reports_what_attribution_took(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(
        ["signals", "--impressions", "300,600", "--engines", "duckdb", "--memory-gb", "1", "--folder", str(tmp_path)]
    )
    report = json.loads((tmp_path / "bench/signals/signals.json").read_text("utf-8"))
    assert [(run["engine"], run["impressions"], run["failure"]) for run in report["runs"]] == [
        ("duckdb", 300, ""),
        ("duckdb", 600, ""),
    ]
    for run in report["runs"]:
        assert run["rows"]["attributed_events"] > 0
        assert run["wall_s"] > sum(run["seconds"].values()) > 0
        assert run["peak_memory_mib"] > 50
        assert run["cpu_s"] > 0
    assert "<svg" in (tmp_path / "bench/signals/signals.html").read_text("utf-8")
    assert "Nothing to compare" in capsys.readouterr().out


def test_a_run_that_fails_is_a_result(tmp_path: Path) -> None:
    measured = measure("duckdb", "duckdb://", 1, tmp_path / "nothing", tmp_path / "marts", timeout_s=60)
    assert "exit status 1" in measured.failure
    assert "has no raw tables" in measured.failure
