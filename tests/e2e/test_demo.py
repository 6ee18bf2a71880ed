"""`iterqr-bench` as a person runs it: the demo, and a stack left running and taken down."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.node, pytest.mark.model, pytest.mark.timeout(900)]

BENCH = Path(sys.executable).with_name("iterqr-bench")
PATIENT = ["--budget-ms", "20000"]  # what is tested must not depend on how fast this machine is


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BENCH, *arguments], capture_output=True, text=True, check=False, timeout=600)


def processes_of(folder: Path) -> list[str]:
    listed = subprocess.run(["ps", "-eww", "-o", "pid=,args="], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(folder) in line]


def search(state: dict[str, Any], query: str) -> dict[str, Any]:
    body = {"query": {"match": {"title": query}}, "size": 3}
    request = urllib.request.Request(  # noqa: S310 - http, from the state file
        f"{state['opensearch_url']}/dishes/_search?search_pipeline=iterqr",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310 - http, from the state file
        loaded: dict[str, Any] = json.load(reply)
        return loaded


def test_demo_reports_and_leaves_nothing_running(tmp_path: Path) -> None:
    done = bench("demo", "--folder", str(tmp_path), "--queries", "tuning", "--limit", "4", *PATIENT)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "demo/report.json").read_text("utf-8"))
    assert len(report["queries"]) == report["verdict"]["queries"] == 4
    assert report["verdict"]["working"] >= report["verdict"]["required"] == 3
    page = (tmp_path / "demo/report.html").read_text("utf-8")
    assert all(outside not in page for outside in ('src="http', 'href="http', "<link", "@import"))
    assert all(each["observation"]["query"] in page for each in report["queries"])
    assert processes_of(tmp_path) == []


def test_up_leaves_a_stack_that_down_takes_down(tmp_path: Path) -> None:
    try:
        up = bench("up", "--folder", str(tmp_path), *PATIENT)
        assert up.returncode == 0, up.stdout + up.stderr
        assert "curl" in up.stdout
        again = bench("up", "--folder", str(tmp_path))
        assert "already up" in again.stdout + again.stderr
        tuned = bench("up", "--folder", str(tmp_path), "--checkpoint", str(tmp_path))
        assert tuned.returncode == 1
        assert "`iterqr-bench down` first" in tuned.stderr
        state = json.loads((tmp_path / "run/state.json").read_text("utf-8"))
        outcome = search(state, "chikn tikka massla")["ext"]["iterqr"]["outcome"]
        assert outcome in {"fused", "original_suffices", "no_rewrites"}  # what it is, is the model's affair
    finally:
        down = bench("down", "--folder", str(tmp_path))
    assert down.returncode == 0, down.stdout + down.stderr
    assert processes_of(tmp_path) == []
