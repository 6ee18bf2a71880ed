"""What starts and stops node and server, without either: state, configuration, what is printed, failures."""

from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest
from iterqr_benchmarks.errors import StackBusyError, StackError
from iterqr_benchmarks.index import search_body
from iterqr_benchmarks.progress import StepDisplay, step
from iterqr_benchmarks.stack import server_process
from iterqr_benchmarks.stack.indexing import pipeline_body
from iterqr_benchmarks.stack.leave_running import instructions, running_stack
from iterqr_benchmarks.stack.lifecycle import exclusive, stop_stack
from iterqr_benchmarks.stack.server_process import ModelBuild, start_server, stop_server, write_config
from iterqr_benchmarks.stack.settings import ChannelSettings
from iterqr_benchmarks.stack.state import (
    ServerProcess,
    StackFolder,
    StackState,
    read_server,
    read_state,
    server_is_running,
    write_server,
    write_state,
)
from rich.console import Console


@pytest.fixture
def folder(tmp_path: Path) -> StackFolder:
    return StackFolder(tmp_path)


def make_state() -> StackState:
    return StackState(
        opensearch_version="3.8.0",
        opensearch_url="http://127.0.0.1:9201",
        opensearch_pid=41,
        server_address="127.0.0.1:50052",
        server_pid=42,
        metrics_url="http://127.0.0.1:9465/metrics",
        started_at="2026-01-01T00:00:00+00:00",
    )


def use_server_script(monkeypatch: pytest.MonkeyPatch, folder: StackFolder, script: str) -> None:
    """Runs a shell script in the place of `iterqr-server`."""
    file = folder.path / "iterqr-server"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    monkeypatch.setattr(server_process, "server_command", lambda: file)


def test_state_survives_the_file(folder: StackFolder) -> None:
    write_state(folder, make_state())
    assert read_state(folder) == make_state()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}'])
def test_a_state_file_of_something_else_counts_as_none(folder: StackFolder, content: str) -> None:
    folder.state_file.write_text(content)
    assert read_state(folder) is None


def test_a_process_with_another_command_line_is_not_the_server(folder: StackFolder) -> None:
    write_server(folder, ServerProcess(pid=os.getpid(), marker="/no/such/server.toml", address="127.0.0.1:1"))
    assert not server_is_running(folder)
    assert not stop_server(folder)
    assert read_server(folder) is None


def test_a_stack_whose_processes_died_does_not_run(folder: StackFolder) -> None:
    write_state(folder, make_state())
    assert running_stack(folder) is None
    assert not stop_stack(folder)
    assert read_state(folder) is None


def test_only_one_process_works_on_a_stack(folder: StackFolder) -> None:
    with exclusive(folder):
        attempt = (
            "import sys; from pathlib import Path; from iterqr_benchmarks.stack.lifecycle import exclusive\n"
            "from iterqr_benchmarks.stack.state import StackFolder\n"
            "with exclusive(StackFolder(Path(sys.argv[1]))): pass"
        )
        other = subprocess.run(
            [sys.executable, "-c", attempt, str(folder.path)], capture_output=True, text=True, check=False
        )
    assert StackBusyError.__name__ in other.stderr
    with exclusive(folder):
        assert folder.lock_file.exists()


def test_configuration_is_toml_whatever_the_texts_are(folder: StackFolder) -> None:
    settings: server_process.ServerSettings = {
        "grpc": {"port": 50051},
        "hints": {"url": 'http://a"b\\c\n', "index": "hinweise-ü"},
    }
    write_config(folder.server_config, settings)
    assert tomllib.loads(folder.server_config.read_text(encoding="utf-8")) == settings


def test_pipeline_has_the_contract_s_processors() -> None:
    body = pipeline_body(ChannelSettings(budget_ms=700, rewrite_weight=0.9))
    assert body["request_processors"][0]["query_rewrite"]["budget_ms"] == 700
    assert body["response_processors"][0]["rewrite_channel"]["rewrite_weight"] == 0.9


def test_printed_commands_are_what_a_shell_and_opensearch_take(folder: StackFolder) -> None:
    commands = [line for line in instructions(make_state(), folder).splitlines() if line.startswith("  curl")]
    with_rewrites, _, plain, stats = (shlex.split(command) for command in commands)
    body = json.loads(with_rewrites[with_rewrites.index("-d") + 1])
    assert body["ext"] == {"iterqr": {"region": "north"}}
    assert "search_pipeline=iterqr" in with_rewrites[2]
    assert body["query"] == json.loads(plain[plain.index("-d") + 1])["query"]
    assert body["query"] == search_body("somthing warm n brothy", "north", 5)["query"]
    assert stats[2].startswith("http://127.0.0.1:9201/_plugins/_iterqr/stats")


def test_a_server_that_ends_at_once_is_told_with_its_last_lines(
    folder: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_server_script(monkeypatch, folder, "echo 'model.name: no such model' >&2; exit 2")
    with pytest.raises(StackError, match=r"ended while starting\n(.*\n)*.*no such model"):
        start_server(folder, "127.0.0.1:1", cancelled=threading.Event())
    assert read_server(folder) is None


def test_a_start_that_is_cancelled_leaves_no_server(folder: StackFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    use_server_script(monkeypatch, folder, 'exec sleep 600 # "$@"')
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(StackError, match="cancelled"):
        start_server(folder, "127.0.0.1:1", cancelled=cancelled)
    assert not server_is_running(folder)


def test_model_build_hands_on_each_line(folder: StackFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    use_server_script(monkeypatch, folder, "echo downloading; echo; echo quantizing >&2; echo /cache/model")
    lines: list[str] = []
    assert ModelBuild(folder, "qwen").run(lines.append) == "/cache/model"
    assert lines == ["downloading", "quantizing", "/cache/model"]


def test_a_failed_model_build_is_told_with_its_last_lines(folder: StackFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    use_server_script(monkeypatch, folder, "echo 'digest differs'; exit 1")
    with pytest.raises(StackError, match=r"model build` failed \(exit 1\)\n(.*\n)*.*digest differs"):
        ModelBuild(folder, "qwen").run(lambda _line: None)


def test_steps_are_lines_where_there_is_no_terminal() -> None:
    output = io.StringIO()
    display = StepDisplay(Console(file=output, width=100))
    with display:
        with step(display, "model [x]") as work:
            work.detail("downloading 30%")
            work.result = "kept in the cache"
        with pytest.raises(StackError), step(display, "node"):
            raise StackError("no")
    begun, done, _, failed = output.getvalue().splitlines()
    assert begun.startswith("… model [x]")
    assert done.startswith("✓ model [x]")
    assert done.endswith("kept in the cache")
    assert failed.startswith("✗ node")
    assert set(display.seconds) == {"model [x]", "node"}
