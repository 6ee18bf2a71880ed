import os
import sys
from pathlib import Path

import pytest
from iterqr_dev_node import process

MARKER = "--the-marker"


def spawn(tmp_path: Path, code: str) -> int:
    return process.spawn(
        [sys.executable, "-c", code, MARKER],
        folder=tmp_path,
        environ=os.environ,
        log=tmp_path / "log",
        user=None,
    )


SLEEPS = "import time; time.sleep(60)"
IGNORES_TERM = (
    "import signal, time, pathlib; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "pathlib.Path('ready').touch(); time.sleep(60)"
)


def test_stops_what_it_started_and_waits_for_its_end(tmp_path: Path) -> None:
    pid = spawn(tmp_path, SLEEPS)
    assert process.is_running(pid, MARKER)
    process.stop(pid, MARKER, timeout_s=10)
    assert not process.is_running(pid, MARKER)


def test_stops_a_frozen_process(tmp_path: Path) -> None:
    pid = spawn(tmp_path, SLEEPS)
    process.freeze(pid)
    process.stop(pid, MARKER, timeout_s=10)
    assert not process.is_running(pid, MARKER)


def test_kills_one_that_will_not_stop(tmp_path: Path) -> None:
    pid = spawn(tmp_path, IGNORES_TERM)
    while not (tmp_path / "ready").exists():
        assert process.is_running(pid, MARKER)
    process.stop(pid, MARKER, timeout_s=0.1)
    assert not process.is_running(pid, MARKER)


def test_output_goes_to_the_log(tmp_path: Path) -> None:
    pid = spawn(tmp_path, "print('hello')")
    while process.is_running(pid, MARKER):
        pass
    assert (tmp_path / "log").read_text() == "hello\n"


@pytest.mark.parametrize("pid", [os.getpid(), 2**22 - 1], ids=["this process", "no process"])
def test_a_process_without_the_marker_is_another(pid: int) -> None:
    assert not process.is_running(pid, MARKER + "-of-nobody")
