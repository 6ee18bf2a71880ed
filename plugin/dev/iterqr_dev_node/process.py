"""A node's operating system process, also one that another process started."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from iterqr_dev_node.run_user import RunUser

_POLL_S = 0.05

# Children of this process. Kept until they have ended, so that they are reaped and never warned about.
_children: dict[int, subprocess.Popen[bytes]] = {}


def spawn(command: Sequence[str], *, folder: Path, environ: Mapping[str, str], log: Path, user: RunUser | None) -> int:
    """Starts a process of its own session, its output in `log`; returns its id."""
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=None if user is None else user.uid,
            group=None if user is None else user.gid,
            extra_groups=None if user is None else [],
        )
    _children[child.pid] = child
    return child.pid


def is_running(pid: int, marker: str) -> bool:
    """Tells whether the process lives and its command line has the marker, so that a reused id misleads nobody."""
    child = _children.get(pid)
    if child is not None:
        if child.poll() is None:
            return True
        del _children[pid]
        return False
    return marker in _command_line(pid)


def stop(pid: int, marker: str, *, timeout_s: float) -> None:
    """Asks the process to end, waits until it has, and kills it after `timeout_s`."""
    for number, patience_s in ((signal.SIGTERM, timeout_s), (signal.SIGKILL, 10.0)):
        if not is_running(pid, marker):
            return
        _signal(pid, number)
        _signal(pid, signal.SIGCONT)  # a frozen process would not see SIGTERM
        if _wait_until_gone(pid, marker, patience_s):
            return


def kill(pid: int, marker: str) -> None:
    """Ends the process at once and waits until it has."""
    _signal(pid, signal.SIGKILL)
    _wait_until_gone(pid, marker, 10.0)


def freeze(pid: int) -> None:
    """Stops the process where it stands: connections stay open, nothing is answered."""
    _signal(pid, signal.SIGSTOP)


def thaw(pid: int) -> None:
    """Lets a frozen process go on."""
    _signal(pid, signal.SIGCONT)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it has ended, which is what every caller finds out next


def _wait_until_gone(pid: int, marker: str, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while is_running(pid, marker):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _command_line(pid: int) -> str:
    """The command line of a process; empty if there is none, also where it has ended and nobody reaped it."""
    proc = Path("/proc")
    if (proc / "self").exists():
        try:
            return (proc / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    listed = subprocess.run(["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False)
    return listed.stdout
