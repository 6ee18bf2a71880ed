"""Keeps a second run of the same kind out of a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from iterqr_training.errors import RunError


@contextmanager
def alone_in(folder: Path, run: str) -> Iterator[None]:
    """Holds the folder's lock while it is open; makes the folder if it is not there. `run`: what works in it.

    Raises:
        RunError: Another holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunError(f"another {run} is at work in {folder}; wait for it or stop it") from error
    try:
        yield
    finally:
        lock.release()
