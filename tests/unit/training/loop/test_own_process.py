"""Processes of the loop: ended with it, or by the next start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from iterqr_training.errors import RunError
from iterqr_training.loop.command_runner import run_apart
from iterqr_training.loop.own_process import own_process

SLEEPING = (sys.executable, "-c", "import time; time.sleep(600)")


def is_running(pid: int) -> bool:
    """A process that ended and that nobody waits for is still listed, as a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_ends_with_the_block_and_its_note_goes(tmp_path: Path) -> None:
    note = tmp_path / "it.pid"
    with own_process(SLEEPING, tmp_path / "it.log", note) as process:
        assert int(note.read_text().split()[0]) == process.pid
        assert process.poll() is None
    assert process.poll() is not None
    assert not note.exists()


def test_what_a_killed_start_left_is_ended_by_the_next(tmp_path: Path) -> None:
    note, log = tmp_path / "it.pid", tmp_path / "it.log"
    script = (
        "import os, signal, sys; from pathlib import Path; from iterqr_training.loop.own_process import own_process\n"
        "with own_process(sys.argv[3:], Path(sys.argv[1]), Path(sys.argv[2])) as process:\n"
        "    print(process.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script, str(log), str(note), *SLEEPING], stdout=subprocess.PIPE, check=False
    )
    left = int(killed.stdout)
    assert is_running(left)
    with own_process(SLEEPING, log, note) as process:
        assert not is_running(left)
        assert process.poll() is None


def test_another_process_that_got_the_number_is_left_alone(tmp_path: Path) -> None:
    other = subprocess.Popen(SLEEPING, stdout=subprocess.DEVNULL)
    try:
        note = tmp_path / "it.pid"
        note.write_text(f"{other.pid} 1")  # of one that was started long before
        with own_process(SLEEPING, tmp_path / "it.log", note):
            assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_command_that_fails_apart_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "gate.log"
    line = ["gate", "--evaluation", str(tmp_path / "no.json"), "--candidate", "a", "--champion", "b"]
    with pytest.raises(RunError, match=r"`iterqr-train gate` ended with 1; the end of .*gate\.log:\n.*no\.json"):
        run_apart(line, log)
