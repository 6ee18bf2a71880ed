"""A minute of `iterqr-bench soak`, on a real node and a server of predictable tokens that is restarted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from iterqr_benchmarks.soak.run import SoakOptions, run_soak
from rich.console import Console
from support.rewrite_server import rewrite_server_process

pytestmark = pytest.mark.node

REWRITES = {"chikn tika": ("chicken tikka", "chicken tikka masala"), "tomato": ("tomato soup",), "pho": ()}


@pytest.mark.timeout(300)
def test_nothing_grows_or_gets_lost(tmp_path: Path) -> None:
    with rewrite_server_process(REWRITES) as server:
        options = SoakOptions(tmp_path, minutes=1.2, searchers=3, texts=tuple(REWRITES))
        report = run_soak(options, server, Console(quiet=True))
    assert [check for check in report.checks if not check.holds] == []
    assert report.restarts >= 2
    assert min(report.outcomes[name] for name in ("fused", "expanded", "shadow", "control")) > 0
    assert report.outcomes["no_rewrites"] > 0
    assert set(report.outcomes) & {"unavailable", "breaker_open"}, "the server was away"
    assert report.counts.given_up > 0
    assert report.counts.in_index > 0
    assert min(report.done.values()) > 0
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["counts"]["written"] == report.counts.written
    assert "<svg" in (tmp_path / "report.html").read_text()
    assert not (tmp_path / "node").exists()
