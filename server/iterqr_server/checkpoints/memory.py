"""How much memory is left for one more model: of the machine, and of the container that the process runs in.

And giving it back: a model's weights are many blocks of a few megabytes, which glibc keeps when they are freed.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Room:
    """What one more model would take, and what there is of the memory of this `name`; None where nobody tells.

    `reserve_bytes` must be left beside it.
    """

    needed_bytes: int
    available_bytes: int | None
    reserve_bytes: int
    name: str

    @property
    def lack(self) -> str:
        """Why the model is not loaded; empty if there is room, or nobody knows."""
        if self.available_bytes is None or self.needed_bytes + self.reserve_bytes <= self.available_bytes:
            return ""
        return (
            f"needs about {self.needed_bytes >> 20} MB of {self.name}, and {self.reserve_bytes >> 20} MB must stay "
            f"free (checkpoints.memory_reserve_mb); {self.available_bytes >> 20} MB are available"
        )


def available_bytes(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int | None:
    """Returns the bytes that may still be taken; None where the system does not tell (it is not Linux)."""
    limits = [left for left in (_of_machine(meminfo), _of_container(cgroup)) if left is not None]
    return min(limits) if limits else None


def give_back() -> None:
    """Returns freed memory to the system, where the C library has a way to. Blocks for some milliseconds."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


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
