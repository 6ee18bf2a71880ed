"""`iterqr-bench rpc` against a server of predictable tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from iterqr_benchmarks.main import main
from support.rewrite_server import running_server


@pytest.mark.timeout(120)
def test_load_is_made_and_reported(tmp_path: Path) -> None:
    with running_server(script=lambda _prompt: "fix: a\nintent: b\nmeaning: c\nrw: pad thai\n") as server:
        flags = ["--endpoint", server.address, "--capacity-s", "2", "--duration-s", "3", "--users", "2"]
        main(["rpc", "--folder", str(tmp_path), *flags, "--load", "0.5", "--cached-share", "0.5"])
    report = json.loads((tmp_path / "bench" / "rpc" / "report.json").read_text())
    closed, opened = (report["phases"][name]["numbers"] for name in ("closed loop", "open loop"))
    assert closed["served_repeated"]["calls"] > 0
    assert closed["served_fresh"]["calls"] > 0
    assert opened["codes"]["OK"] > 0
    assert opened["goodput_per_s"] > 0
    assert opened["offered_per_s"] < report["settings"]["capacity_per_s"]
    assert not list((tmp_path / "bench" / "rpc").glob("*.jsonl"))
    assert "<svg" in (tmp_path / "bench" / "rpc" / "report.html").read_text()


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["rpc", "--folder", str(tmp_path), "--endpoint", "127.0.0.1:1"])
    assert ended.value.code == 1
    assert "127.0.0.1:1: answers UNAVAILABLE" in capsys.readouterr().err
