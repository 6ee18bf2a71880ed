"""Anytime rewriting: replies leave before the deadline with what is complete, and the work is not lost.

A gate holds the model still, so that what is complete at a deadline is exact.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2_grpc as pb_grpc
from iterqr_server.engine.settings import EngineSettings
from support.grpc_calls import failure_of
from support.predictable import StepGate, predictable_engine
from support.rewrite_server import Overrides, RunningServer, answer, running_server

ANSWER = answer("pad tai", ["pad thai", "thai noodles", "noodles"])
EARLY_REPLY = {"rewrite": {"reply_margin_ms": 1500}}
"""With a deadline of 2 s the server replies after 0.5 s, long before the client would give up."""


class GatedServer:
    def __init__(self, server: RunningServer, gate: StepGate, stub: pb_grpc.QueryRewriteServiceStub) -> None:
        self.server = server
        self.gate = gate
        self.stub = stub

    def let_lines(self, lines: int) -> None:
        """Lets the model write that many lines and not a character more."""
        self.gate.let(sum(len(line) + 1 for line in ANSWER.split("\n")[:lines]))

    def rewrite(self, timeout_s: float = 2.0, query: str = "pad tai") -> pb.RewriteQueryResponse:
        return self.stub.RewriteQuery(pb.RewriteQueryRequest(query=query), timeout=timeout_s)

    def wait_for_end(self, end: str = "complete") -> None:
        """Waits until a generation ended."""
        self.server.wait_until(lambda: self.server.metric("iterqr_generations_total", end=end) > 0)

    def wait_until_running(self) -> None:
        """Waits until the engine runs a request."""
        self.server.wait_until(lambda: self.server.metric("iterqr_engine_running") > 0)

    def wait_for_misses(self, count: int) -> None:
        """Waits until that many calls looked into the cache in vain, so that all of them wait for a generation."""
        name = "iterqr_cache_lookups_total"
        self.server.wait_until(lambda: self.server.metric(name, result="miss") >= count)


@contextmanager
def gated_server(overrides: Overrides | None = None, engine: EngineSettings | None = None) -> Iterator[GatedServer]:
    gate = StepGate()
    gate.open()
    model = predictable_engine(lambda _prompt: ANSWER, before_step=gate, settings=engine)
    with running_server(model, overrides=overrides) as server, grpc.insecure_channel(server.address) as channel:
        gate.close()
        try:
            yield GatedServer(server, gate, pb_grpc.QueryRewriteServiceStub(channel))
        finally:
            gate.open()


def test_at_the_deadline_the_complete_rewrites_are_the_reply() -> None:
    with gated_server(EARLY_REPLY) as gated:
        gated.let_lines(5)
        reply = gated.rewrite()
        assert reply.outcome == pb.OUTCOME_PARTIAL
        assert reply.chain_of_thought.meaning == "pad tai"
        assert [r.text for r in reply.rewrites] == ["pad thai", "thai noodles"]
        assert reply.timings.generation_us <= reply.timings.total_us < 1_900_000
        assert gated.server.metric("iterqr_rewrite_outcomes_total", outcome="partial", source="generated") == 1


def test_without_a_complete_rewrite_the_deadline_is_exceeded() -> None:
    with gated_server(EARLY_REPLY) as gated:
        gated.let_lines(3)
        failure = failure_of(gated.rewrite)
        assert failure.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert failure.details.startswith("no rewrite was complete after")


def test_what_the_deadline_cut_off_is_finished_and_cached() -> None:
    with gated_server(EARLY_REPLY) as gated:
        gated.let_lines(4)
        partial = gated.rewrite()
        assert [r.text for r in partial.rewrites] == ["pad thai"]
        gated.gate.open()
        gated.wait_for_end()
        whole = gated.rewrite()
        assert whole.source == pb.SOURCE_CACHE
        assert whole.outcome == pb.OUTCOME_COMPLETE
        assert [r.text for r in whole.rewrites] == ["pad thai", "thai noodles", "noodles"]
        assert whole.rewrites[0].rewrite_id == partial.rewrites[0].rewrite_id


@pytest.mark.parametrize("timeout_s", [0.05, 0.001])
def test_a_tight_deadline_is_never_a_hang(timeout_s: float) -> None:
    with gated_server() as gated:
        started = time.monotonic()
        assert failure_of(lambda: gated.rewrite(timeout_s)).code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert time.monotonic() - started < 1.0


def test_a_tight_deadline_still_gets_what_is_cached() -> None:
    with gated_server({"rewrite": {"reply_margin_ms": 10_000}}) as gated:
        gated.gate.open()
        assert failure_of(gated.rewrite).code is grpc.StatusCode.DEADLINE_EXCEEDED
        gated.wait_for_end()
        assert gated.rewrite().source == pb.SOURCE_CACHE


def test_a_call_without_a_deadline_gets_the_servers() -> None:
    with gated_server({"rewrite": {"default_deadline_ms": 300}}) as gated:
        failure = failure_of(lambda: gated.stub.RewriteQuery(pb.RewriteQueryRequest(query="pad tai")))
        assert failure.code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_equal_calls_share_one_generation_and_keep_their_own_deadlines() -> None:
    with gated_server({"rewrite": {"reply_margin_ms": 100}}) as gated, ThreadPoolExecutor() as pool:
        patient = pool.submit(gated.rewrite, 30.0)
        gated.wait_until_running()
        hurried = pool.submit(gated.rewrite, 0.5)
        assert failure_of(hurried.result).code is grpc.StatusCode.DEADLINE_EXCEEDED
        third = pool.submit(gated.rewrite, 30.0)
        gated.wait_for_misses(3)
        gated.gate.open()
        assert patient.result().source == pb.SOURCE_GENERATED
        assert third.result().source == pb.SOURCE_COALESCED
        assert list(third.result().rewrites) == list(patient.result().rewrites)
        assert gated.server.metric("iterqr_generations_total", end="complete") == 1


def test_a_generation_survives_its_callers() -> None:
    with gated_server() as gated:
        futures = [
            gated.stub.RewriteQuery.future(pb.RewriteQueryRequest(query="pad tai"), timeout=30) for _ in range(2)
        ]
        gated.wait_for_misses(2)
        for future in futures:
            future.cancel()
        gated.gate.open()
        gated.wait_for_end()
        assert gated.rewrite().source == pb.SOURCE_CACHE


def test_background_work_is_bounded_and_frees_the_engine() -> None:
    with gated_server({"rewrite": {"max_background": 0, "reply_margin_ms": 1500}}) as gated:
        assert failure_of(gated.rewrite).code is grpc.StatusCode.DEADLINE_EXCEEDED
        gated.wait_for_end("abandoned")
        assert gated.server.metric("iterqr_engine_running") == gated.server.metric("iterqr_engine_waiting") == 0


def test_a_full_queue_is_told_with_a_time_to_retry() -> None:
    small = EngineSettings(max_running=1, max_waiting=0, arena_positions=65_536, max_step_rows=4096)
    with gated_server(engine=small) as gated:
        first = gated.stub.RewriteQuery.future(pb.RewriteQueryRequest(query="first"), timeout=30)
        gated.wait_until_running()
        failure = failure_of(lambda: gated.rewrite(30.0, "second"))
        assert failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert failure.retry_after_ms == 500
        gated.gate.open()
        assert first.result().rewrites
        assert gated.rewrite(30.0, "second").rewrites, "room again"


def test_generation_stops_when_enough_rewrites_are_complete() -> None:
    steps: list[object] = []
    engine = predictable_engine(lambda _prompt: ANSWER + "\nrw: far too much" * 20, before_step=steps.append)
    with running_server(engine) as server, grpc.insecure_channel(server.address) as channel:
        stub = pb_grpc.QueryRewriteServiceStub(channel)
        steps.clear()
        reply = stub.RewriteQuery(pb.RewriteQueryRequest(query="pad tai", max_rewrites=2), timeout=20)
        used = len("\n".join(ANSWER.split("\n")[:5])) + 1
        assert reply.token_usage.generated_tokens == used
        assert server.metric("iterqr_engine_running") == 0
        assert used <= len(steps) <= used + 2
