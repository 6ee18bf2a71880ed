"""The cache folder of downloads and builds, and making a folder in it exactly once."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

_READ_BYTES = 1 << 22


def cache_folder() -> Path:
    """Returns `ITERQR_CACHE`, else `~/.cache/iterqr`. May not exist yet."""
    given = os.environ.get("ITERQR_CACHE")
    return Path(given).expanduser().resolve() if given else Path.home() / ".cache" / "iterqr"


def make_once(target: Path, make: Callable[[Path], None]) -> Path:
    """Returns `target`, made by `make` if it is not there: whole or not at all.

    `make` gets an empty folder on the same file system. Processes that want the same target wait for the first.
    """
    if target.is_dir():
        return target
    with lock(target):
        if target.is_dir():
            return target
        for leftover in target.parent.glob(f".{target.name}.partial-*"):  # of a process that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.partial-", dir=target.parent))
        try:
            make(partial)
            partial.chmod(0o755)
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return target


def lock(target: Path) -> FileLock:
    """Returns the lock between processes that make `target`; a context manager."""
    target.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(target.parent / f".{target.name}.lock")


def sha256_of(path: Path, on_bytes: Callable[[int], None] = lambda _count: None) -> str:
    """Returns the file's digest; `on_bytes` hears how many more bytes were read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_READ_BYTES):
            digest.update(data)
            on_bytes(len(data))
    return digest.hexdigest()
