"""`iterqr-bench search` on a real node and a server of predictable tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from iterqr_benchmarks.main import main
from iterqr_benchmarks.search_load.arms import all_arms
from support.rewrite_server import running_server

pytestmark = pytest.mark.node


@pytest.mark.timeout(300)
def test_ways_to_search_are_measured_beside_plain_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running_server(
        script=lambda _prompt: "fix: a\nintent: b\nmeaning: c\nrw: pad thai\nrw: green curry\n"
    ) as server:
        main(["search", "--quick", "--folder", str(tmp_path), "--endpoint", server.address, "--users", "2"])
    folder = tmp_path / "bench" / "search"
    report = json.loads((folder / "report.json").read_text())
    arms = [arm.name for arm in all_arms("")]
    assert {(each["arm"], each["client"], each["users"]) for each in report["summaries"]} == {
        (arm, client, users) for arm in arms for client in ("raw HTTP", "opensearch-py") for users in (1, 2)
    }
    for each in report["summaries"]:
        assert each["searches"] > 0, each
        assert each["numbers"]["node_cpu_ms"] >= 0, each
        assert not [name for name in each["outcomes"] if name.startswith(("HTTP", "Transport", "Connection"))], each
    outcomes = {each["arm"]: each["outcomes"] for each in report["summaries"]}
    assert outcomes["plain"] == {"": 1.0}
    assert outcomes["control"] == {"control": 1.0}
    assert outcomes["shadow"] == {"shadow": 1.0}
    assert outcomes["expand"]["expanded"] > 0.9
    assert outcomes["uncached rewrites"]["fused"] > 0.9
    for arm in ("cached rewrites", "cached, at most 2", "cached by server"):
        assert outcomes[arm]["fused"] > 0.9
    assert set(outcomes["server down"]) <= {"unavailable", "breaker_open"}
    assert "<svg" in (folder / "report.html").read_text()
    assert "of plain throughput" in capsys.readouterr().out
    assert {file.name for file in folder.iterdir()} >= {"report.json", "report.html", "load.log"}
    assert not (folder / "node").exists()
