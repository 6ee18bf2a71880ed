"""`iterqr-bench engine` with the real model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from iterqr_benchmarks.main import main

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]


def test_our_engine_is_measured_and_reported(tmp_path: Path) -> None:
    flags = ["--engines", "iterqr", "--queries", "2", "--rounds", "1", "--concurrency", "1,2"]
    main(["engine", "--folder", str(tmp_path), *flags])
    report = json.loads((tmp_path / "bench" / "engine" / "report.json").read_text())
    assert [(each["engine"], each["concurrency"]) for each in report["measurements"]] == [("iterqr", 1), ("iterqr", 2)]
    for measurement in report["measurements"]:
        assert all(answer["text"].startswith("fix: ") for answer in measurement["answers"])
        assert measurement["stats"]["steps_total"] > 0
    assert report["summaries"]["first"][0]["valid_share"] > 0
    assert report["engine_counters"]["1"]["ms per step"] > 0
    assert report["engines"]["iterqr"]["versions"]["python"]
