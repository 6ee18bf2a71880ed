"""The computer that something was measured on."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """The computer. `memory_gib` is None where the system does not tell."""

    processor: str
    cores: int
    memory_gib: float | None
    system: str
    python: str


def this_machine() -> Machine:
    """Describes the computer this runs on."""
    return Machine(
        processor=_processor(),
        cores=usable_cores(),
        memory_gib=_memory_gib(),
        system=f"{platform.system()} {platform.release()} ({platform.machine()})",
        python=platform.python_version(),
    )


def usable_cores() -> int:
    """Cores this process may use, where the system tells; else those there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None
