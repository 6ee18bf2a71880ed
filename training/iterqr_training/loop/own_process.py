"""A process of the loop's own that must not outlive it: found by the next start, if this one is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_PATIENCE_S = 20.0


@contextmanager
def own_process(command: Sequence[str], log: Path, note: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a command while it is open.

    Args:
        command: With its arguments.
        log: Gets what it prints; replaced.
        note: File that its process id is kept in meanwhile. What an earlier start left running under it ends first.
    """
    end_noted(note, command)
    log.parent.mkdir(parents=True, exist_ok=True)
    note.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        note.write_text(str(process.pid))
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            note.unlink(missing_ok=True)


def end_noted(note: Path, command: Sequence[str]) -> None:
    """Ends the process that a note names if it still runs that command; another that got its number is left alone."""
    try:
        pid = int(note.read_text())
    except (FileNotFoundError, ValueError):
        return
    deadline = time.monotonic() + _PATIENCE_S
    while _runs(pid, command):
        late = time.monotonic() > deadline
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        time.sleep(0.2)
    note.unlink(missing_ok=True)


def _runs(pid: int, command: Sequence[str]) -> bool:
    """Where the system does not tell command lines, nothing is ended."""
    try:
        told = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(command[0]) in told and os.fsencode(command[-1]) in told
