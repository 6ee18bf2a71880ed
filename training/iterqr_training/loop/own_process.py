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
        log: Gets what it prints, after what is there.
        note: File that tells which process it is meanwhile. What an earlier start left running under it ends first.
    """
    end_noted(note)
    log.parent.mkdir(parents=True, exist_ok=True)
    note.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        note.write_text(f"{process.pid} {_started(process.pid)}")
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


def end_noted(note: Path) -> None:
    """Ends the process that a note names, if it still runs; another that got its number is left alone."""
    try:
        number, started = note.read_text().split()
        pid = int(number)
    except (FileNotFoundError, ValueError):
        return
    deadline = time.monotonic() + _PATIENCE_S
    while _started(pid) == started:
        late = time.monotonic() > deadline
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        time.sleep(0.2)
    note.unlink(missing_ok=True)


def _started(pid: int) -> str:
    """When a process that runs was started, in the system's ticks; "-" where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()  # the name may have spaces
    except OSError:
        return "-"
    state, ticks = fields[0], fields[19]
    return "-" if state == "Z" else ticks
