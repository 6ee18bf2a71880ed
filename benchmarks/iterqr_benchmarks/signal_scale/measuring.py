"""One attribution in a process of its own: its time, and processor time and memory of all that belong to it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil
from iterqr_training.errors import StoreError
from iterqr_training.signals.marts import read_marts

from iterqr_benchmarks.stack.server_process import last_lines

_SAMPLE_S = 0.2
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Measured:
    """One run. `wall_s`: of the whole command; `seconds`: of its steps; `rows`: of the marts; `failure`: "" if none.

    `peak_memory_mib` is the highest sum of the resident memory of the process and its children, Spark's JVM among
    them; memory that they share is counted twice. `cpu_s` is the processor time of them all, up to the last sample: on
    a busy machine it says more than the clock.
    """

    engine: str
    impressions: int
    wall_s: float
    cpu_s: float
    peak_memory_mib: float
    seconds: Mapping[str, float]
    rows: Mapping[str, int]
    failure: str


def measure(engine: str, url: str, impressions: int, raw: Path, out: Path, timeout_s: float) -> Measured:
    """Runs `iterqr-train attribute`; a run that fails or takes too long is a result too.

    Args:
        engine: Its name in the report.
        url: Of the engine.
        impressions: How many the raw tables have.
        raw: The raw tables.
        out: For the marts and, beside it, the log.
        timeout_s: After this the run is ended.
    """
    command = [sys.executable, "-c", "from iterqr_training.main import main; main()"]
    command += ["attribute", "--signals", str(raw), "--out", str(out), "--engine", url]
    log = out.with_suffix(".log")
    began = time.monotonic()
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True)
    with _Usage(process.pid) as usage:
        try:
            status = process.wait(timeout_s)
            failure = "" if status == 0 else f"exit status {status}: {last_lines(log)}"
        except subprocess.TimeoutExpired:
            failure = f"not done after {timeout_s:,.0f} s"
        finally:
            with contextlib.suppress(ProcessLookupError):  # its JVM is of its group
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    wall_s = time.monotonic() - began
    if failure:
        return Measured(engine, impressions, wall_s, usage.cpu_s, usage.peak_mib, {}, {}, failure)
    try:
        about = read_marts(out).about
    except StoreError as error:
        return Measured(engine, impressions, wall_s, usage.cpu_s, usage.peak_mib, {}, {}, str(error))
    return Measured(engine, impressions, wall_s, usage.cpu_s, usage.peak_mib, about["seconds"], about["rows"], "")


class _Usage:
    """Samples what a process and its children use while it is open."""

    def __init__(self, pid: int) -> None:
        self.peak_mib = 0.0
        self._process = psutil.Process(pid)
        self._cpu_s: dict[int, float] = {}
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample, name="usage", daemon=True)

    @property
    def cpu_s(self) -> float:
        """Processor time of all processes seen, each as last seen."""
        return sum(self._cpu_s.values())

    def __enter__(self) -> Self:
        self._sampler.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._sampler.join()

    def _sample(self) -> None:
        while not self._ended.wait(_SAMPLE_S):
            total = 0
            with contextlib.suppress(psutil.NoSuchProcess):
                for process in (self._process, *self._process.children(recursive=True)):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        total += self._seen(process)
            self.peak_mib = max(self.peak_mib, total / _MIB)

    def _seen(self, process: psutil.Process) -> int:
        """Resident bytes of a process. One that was just forked shows its parent's until it runs what it is to run."""
        parent = process.parent()
        if process.pid != self._process.pid and parent and parent.cmdline() == process.cmdline():
            return 0
        times = process.cpu_times()
        self._cpu_s[process.pid] = times.user + times.system
        return int(process.memory_info().rss)
