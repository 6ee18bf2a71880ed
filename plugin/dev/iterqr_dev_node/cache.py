"""The cache folder, and building something in it exactly once.

What is built is immutable: it appears whole under its final name or not at all, and processes that want the same
thing at the same time wait for the one that builds it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from filelock import FileLock


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """`ITERQR_CACHE`, else `~/.cache/iterqr`. May not exist yet."""
    environ = os.environ if environ is None else environ
    given = environ.get("ITERQR_CACHE")
    return Path(given).expanduser().resolve() if given else Path.home() / ".cache" / "iterqr"


def build_once(target: Path, build: Callable[[Path], None]) -> Path:
    """Returns `target`, made by `build` if it is not there yet.

    Args:
        target: Folder wanted.
        build: Fills the empty folder it is given, on the same file system. Whatever it raises is passed on and
            leaves nothing behind.
    """
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.parent / f".{target.name}.lock"):
        if target.is_dir():
            return target
        for left_over in target.parent.glob(f".{target.name}.partial-*"):
            shutil.rmtree(left_over, ignore_errors=True)  # of a process that was killed: we hold the lock
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.partial-", dir=target.parent))
        try:
            build(partial)
            partial.chmod(0o755)
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return target
