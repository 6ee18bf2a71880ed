"""`iterqr-bench rpc`: measures the server's capacity, then loads it with a multiple of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import grpc
import psutil
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2_grpc as pb_grpc
from iterqr_training.machine import this_machine
from rich.console import Console

from iterqr_benchmarks.catalog import build_catalog
from iterqr_benchmarks.engine_comparison.prompt_set import load_prompts
from iterqr_benchmarks.errors import BenchmarkError
from iterqr_benchmarks.progress import StepDisplay, step
from iterqr_benchmarks.report.json_file import write_whole
from iterqr_benchmarks.report.versions import versions
from iterqr_benchmarks.rpc_load.phase import Phase, write_phase
from iterqr_benchmarks.rpc_load.report import LoadReport, PhaseReport, load_html, load_json, load_table
from iterqr_benchmarks.rpc_load.samples import Load, capacity_per_s, load_numbers, memory_numbers, read_load
from iterqr_benchmarks.stack.lifecycle import free_port
from iterqr_benchmarks.stack.server_process import last_lines, start_server, stop_server, write_config
from iterqr_benchmarks.stack.settings import SEED
from iterqr_benchmarks.stack.state import StackFolder

_MEMORY_EVERY_S = 1.0
_WARM_UP_SHARE = 0.25  # of the load's time; memory grows meanwhile as caches and pools fill
_GRACE_S = 60.0
_MOST_QUERY_CHARS = 200
_REPEATED_QUERIES = 16
_SERVER_TIMED_SHARE = 0.25  # of the calls, where the server's own deadline is known
_FIRST_DEADLINE_S = 60.0
_FIRST_CALLERS = 4
_MOST_REPLIES_PER_S = 2_000  # far beyond any server: so many new queries are enough for the closed loop


class LoadError(BenchmarkError):
    """The load could not be made; the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """`endpoint`: "" starts a server of its own. `load`: arrivals as a multiple of the measured capacity.

    `late_allowance_ms`: how much later than its deadline a call may end without being counted as late.
    """

    folder: Path
    endpoint: str
    model: str
    capacity_s: float
    duration_s: float
    users: int
    load: float
    repeated_share: float
    deadline_ms: int
    late_allowance_ms: float


def run_load(options: LoadOptions, console: Console) -> LoadReport:
    """Measures and writes `report.json` and `report.html`.

    Raises:
        BenchmarkError: The server or the load does not run; nothing is left running.
    """
    options.folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as cleanup, StepDisplay(console) as steps:
        with step(steps, "server") as work:
            address, pid = _server(options, cleanup)
            work.result = f"serves gRPC at {address}"
        server_timed_share = 0.0 if options.endpoint else _SERVER_TIMED_SHARE
        queries = _Queries()
        repeated = queries.repeated()
        with step(steps, "first answers") as work:
            _ask_once(address, repeated)
            work.result = f"{len(repeated)} queries are in the cache"
        with step(steps, "capacity, closed loop") as work:
            phase = Phase(
                address, options.capacity_s, options.deadline_ms, options.users, 0.0, options.repeated_share, repeated,
                queries.fresh(int(_MOST_REPLIES_PER_S * options.capacity_s)), server_timed_share, SEED,
            )  # fmt: skip
            closed = _phase(phase, options, "closed", pid)
            capacity = capacity_per_s(closed.calls, options.capacity_s, options.repeated_share)
            work.result = f"{capacity:.2f} calls/s of the mix keep the server busy"
        if not capacity:
            raise LoadError(f"no useful reply within {options.deadline_ms} ms; the calls ended: {closed.numbers.codes}")
        with step(steps, "load, open loop") as work:
            rate = capacity * options.load
            phase = Phase(
                address, options.duration_s, options.deadline_ms, 0, rate, options.repeated_share, repeated,
                queries.fresh(int(rate * options.duration_s * 2) + 1_000), server_timed_share, SEED + 1,
            )  # fmt: skip
            opened = _phase(phase, options, "open", pid)
            work.result = f"{opened.numbers.goodput_per_s:.2f} useful replies/s of {rate:.2f} arrivals/s"
    report = LoadReport(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=this_machine(),
        versions=versions("not used"),
        settings={
            "endpoint": options.endpoint or "own server, hints off",
            "model": options.model,
            "capacity_per_s": capacity,
            "users": options.users,
            "load": options.load,
            "repeated_share": options.repeated_share,
            "server_timed_share": server_timed_share,
            "deadline_ms": options.deadline_ms,
            "late_allowance_ms": options.late_allowance_ms,
        },
        phases={"closed loop": closed, "open loop": opened},
    )
    files = [options.folder / name for name in ("report.json", "report.html")]
    write_whole(files[0], load_json(report))
    write_whole(files[1], load_html(report))
    console.print(load_table(report), highlight=False)
    for file in files:
        console.print(str(file), highlight=False, soft_wrap=True)
    return report


class _Queries:
    """Recorded queries, and new ones made of a query and a dish's title; none is given out twice."""

    def __init__(self) -> None:
        self._recorded = [prompt.query for prompt in load_prompts()]
        self._titles = [dish.title for dish in build_catalog(seed=SEED).dishes]
        self._random = random.Random(SEED)
        self._given: set[str] = set()

    def repeated(self) -> tuple[str, ...]:
        """Returns the recorded queries that are asked again and again."""
        return tuple(self._recorded[:_REPEATED_QUERIES])

    def fresh(self, count: int) -> tuple[str, ...]:
        """Returns queries that were not given out before."""
        made: list[str] = []
        while len(made) < count:
            query = f"{self._random.choice(self._recorded)} {self._random.choice(self._titles)}"[:_MOST_QUERY_CHARS]
            if query not in self._given:
                self._given.add(query)
                made.append(query)
        return tuple(made)


def _server(options: LoadOptions, cleanup: ExitStack) -> tuple[str, int | None]:
    if options.endpoint:
        return options.endpoint, None
    folder = StackFolder(options.folder)
    stop_server(folder)  # of an earlier run that was killed
    port = free_port()
    write_config(
        folder.server_config,
        {
            "grpc": {"port": port},
            "model": {"name": options.model},
            "hints": {"url": ""},
            "rewrite": {"default_deadline_ms": options.deadline_ms},
            "telemetry": {"prometheus_port": 0, "log_level": "warning"},
        },
    )
    cleanup.callback(stop_server, folder)
    address = f"127.0.0.1:{port}"
    return address, start_server(folder, address, cancelled=threading.Event(), timeout_s=600.0).pid


def _ask_once(address: str, queries: Sequence[str]) -> None:
    """Asks queries, so that their rewrites are in the cache."""
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        service = pb_grpc.QueryRewriteServiceStub(channel)

        def ask(query: str) -> None:
            service.RewriteQuery(pb.RewriteQueryRequest(query=query), timeout=_FIRST_DEADLINE_S)

        with ThreadPoolExecutor(_FIRST_CALLERS) as callers:
            try:
                list(callers.map(ask, queries))
            except grpc.RpcError as error:
                raise LoadError(f"{address}: answers {error.code().name}: {error.details()}") from error


def _phase(phase: Phase, options: LoadOptions, name: str, pid: int | None) -> PhaseReport:
    memory: list[tuple[float, float]] = []
    load = _make_load(phase, options.folder, name, _memory_reader(pid, memory))
    numbers = load_numbers(load, phase.duration_s, options.deadline_ms, options.late_allowance_ms)
    return PhaseReport(numbers, memory_numbers(memory, phase.duration_s * _WARM_UP_SHARE), tuple(memory), load.calls)


def _memory_reader(pid: int | None, readings: list[tuple[float, float]]) -> Callable[[float], None]:
    server = psutil.Process(pid) if pid is not None else None

    def read(at_s: float) -> None:
        if server is not None:
            readings.append((at_s, server.memory_info().rss / 2**20))

    return read


def _make_load(phase: Phase, folder: Path, name: str, on_tick: Callable[[float], None] = lambda _at_s: None) -> Load:
    phase_file, load_file, log = (folder / f"{name}{suffix}" for suffix in (".phase.json", ".load.json", ".log"))
    write_phase(phase_file, phase)
    command = [sys.executable, "-m", "iterqr_benchmarks.rpc_load.load_process", str(phase_file), str(load_file)]
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    began = time.monotonic()
    try:
        while True:
            try:
                status = process.wait(_MEMORY_EVERY_S)
                break
            except subprocess.TimeoutExpired:
                on_tick(time.monotonic() - began)
            if time.monotonic() - began > phase.duration_s + phase.deadline_ms / 1000 + _GRACE_S:
                raise LoadError(f"the load did not end in time\n{last_lines(log)}")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if status:
        raise LoadError(f"the load failed (exit {status})\n{last_lines(log)}")
    load = read_load(load_file)
    phase_file.unlink()
    load_file.unlink()  # its content is in the report
    return load
