"""The process that makes load, against the real service: what it asks for and what it tells of it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import grpc
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2_grpc as pb_grpc
from iterqr_benchmarks.rpc_load.phase import Phase, write_phase
from iterqr_benchmarks.rpc_load.samples import Call, Load, load_numbers, read_load
from iterqr_server.engine.settings import EngineSettings
from support.predictable import StepGate, predictable_engine
from support.rewrite_server import RunningServer, answer, running_server

KNOWN = ("pad tai", "soup")
FRESH = tuple(f"dish {number}" for number in range(1_000))
FEW_PLACES = EngineSettings(max_running=1, max_waiting=10, arena_positions=65_536, max_step_rows=4096, max_draft_rows=0)


def load_of(phase: Phase, folder: Path) -> Load:
    write_phase(folder / "phase", phase)
    command = [
        sys.executable,
        "-m",
        "iterqr_benchmarks.rpc_load.load_process",
        str(folder / "phase"),
        str(folder / "load"),
    ]
    subprocess.run(command, check=True, timeout=60)
    return read_load(folder / "load")


@contextmanager
def busy_server(own_deadline_ms: int = 3_000) -> Iterator[RunningServer]:
    """Knows the answers to `KNOWN` and makes no step for any other query."""
    gate = StepGate()
    gate.open()
    model = predictable_engine(lambda _prompt: answer("x", ["a soup", "b soup"]), before_step=gate, settings=FEW_PLACES)
    with (
        running_server(model, overrides={"rewrite": {"default_deadline_ms": own_deadline_ms}}) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        for query in KNOWN:
            pb_grpc.QueryRewriteServiceStub(channel).RewriteQuery(pb.RewriteQueryRequest(query=query), timeout=30)
        gate.close()
        try:
            yield server
        finally:
            gate.open()


def latencies_ms(calls: tuple[Call, ...], code: str) -> list[float]:
    return [call.latency_ms for call in calls if call.code == code]


def test_what_is_answered_at_once_is_measured_so_while_others_wait(tmp_path: Path) -> None:
    with busy_server() as server:
        phase = Phase(server.address, 3.0, 1_000, 0, 60.0, 0.3, KNOWN, FRESH, 0.0, seed=1)
        calls = load_of(phase, tmp_path).calls
    counts = Counter(call.code for call in calls)
    assert set(counts) == {"OK", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}
    assert all((call.code == "OK") == call.repeated == (call.rewrites == 2) for call in calls)
    assert median(latencies_ms(calls, "OK")) < 200
    assert median(latencies_ms(calls, "RESOURCE_EXHAUSTED")) < 200
    assert min(latencies_ms(calls, "DEADLINE_EXCEEDED")) > 900
    assert 120 < len(calls) < 240  # 180 on average
    assert max(call.started_s for call in calls) > 2.5


def test_users_of_the_closed_loop_have_one_call_each_and_pause_after_a_refusal(tmp_path: Path) -> None:
    with busy_server() as server:
        known = load_of(Phase(server.address, 2.0, 1_000, 2, 0.0, 1.0, KNOWN, (), 0.0, seed=1), tmp_path)
        fresh = load_of(Phase(server.address, 2.0, 1_000, 2, 0.0, 0.0, (), FRESH, 0.0, seed=1), tmp_path)
    assert {call.code for call in known.calls} == {"OK"}
    assert len(known.calls) > 50
    assert 0 < known.cpu_s < 30
    assert {call.code for call in fresh.calls} == {"DEADLINE_EXCEEDED"}
    assert 2 <= len(fresh.calls) <= 6  # 1 s of waiting and 0.5 s of pausing


def test_reply_after_the_deadline_is_seen_where_the_server_alone_keeps_it(tmp_path: Path) -> None:
    with busy_server(own_deadline_ms=1_500) as server:
        phase = Phase(server.address, 1.0, 500, 0, 30.0, 0.0, (), FRESH, 0.5, seed=1)
        calls = load_of(phase, tmp_path).calls
    waited = [call for call in calls if call.code == "DEADLINE_EXCEEDED"]
    assert {call.server_timed for call in waited} == {True, False}
    assert all((call.latency_ms > 1_400) == call.server_timed for call in waited)
    numbers = load_numbers(Load(calls, 0.0), 1.0, 500, 300)
    assert numbers.late == sum(call.server_timed for call in waited)
    assert numbers.server_timed_largest_lateness_ms > 900
