"""How much memory is left for one more model: of the machine, and of the container that the process runs in.

And giving it back: a model's weights are many blocks of a few megabytes, which glibc keeps when they are freed.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def available_bytes(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int | None:
    """Returns the bytes that may still be taken; None where the system does not tell (it is not Linux)."""
    limits = [left for left in (_of_machine(meminfo), _of_container(cgroup)) if left is not None]
    return min(limits) if limits else None


def give_back() -> None:
    """Returns freed memory to the system, where the C library has a way to. Blocks for some milliseconds."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def refusal(needed: int, available: int | None, reserve: int) -> str:
    """Returns why a model that needs so many bytes is not loaded; empty if there is room."""
    if available is None or needed + reserve <= available:
        return ""
    return (
        f"needs about {needed >> 20} MB of memory, and {reserve >> 20} MB must stay free "
        f"(checkpoints.memory_reserve_mb); {available >> 20} MB are available"
    )


def _of_machine(meminfo: Path) -> int | None:
    if not meminfo.exists():
        return None
    for line in meminfo.read_text("ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return None


def _of_container(cgroup: Path) -> int | None:
    """By control group version 2; pages that only cache files count as free."""
    try:
        limit, used = ((cgroup / name).read_text("ascii").strip() for name in ("memory.max", "memory.current"))
        cached = dict(line.split() for line in (cgroup / "memory.stat").read_text("ascii").splitlines())
    except OSError:
        return None
    return None if limit == "max" else int(limit) - int(used) + int(cached.get("inactive_file", 0))
