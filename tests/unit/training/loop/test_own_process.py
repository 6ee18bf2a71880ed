"""Processes of the loop: ended with it, or by the next start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from iterqr_training.errors import RunError
from iterqr_training.loop.command_runner import run_apart
from iterqr_training.loop.own_process import own_process

SLEEPING = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)", "marked")


def test_it_ends_with_the_block_and_its_note_goes(tmp_path: Path) -> None:
    note = tmp_path / "it.pid"
    with own_process(SLEEPING, tmp_path / "it.log", note) as process:
        assert int(note.read_text()) == process.pid
        assert process.poll() is None
    assert process.poll() is not None
    assert not note.exists()


def test_what_a_killed_start_left_is_ended_by_the_next(tmp_path: Path) -> None:
    left = subprocess.Popen(SLEEPING, stdout=subprocess.PIPE)
    assert left.stdout is not None
    with left.stdout as output:
        output.readline()
        note = tmp_path / "it.pid"
        note.write_text(str(left.pid))
        with own_process(SLEEPING, tmp_path / "it.log", note) as process:
            assert left.wait(20) != 0
            assert process.poll() is None


def test_another_process_that_got_the_number_is_left_alone(tmp_path: Path) -> None:
    other = subprocess.Popen((*SLEEPING[:-1], "another"), stdout=subprocess.DEVNULL)
    try:
        note = tmp_path / "it.pid"
        note.write_text(str(other.pid))
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
