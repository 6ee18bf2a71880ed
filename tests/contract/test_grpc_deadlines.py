"""Anytime rewriting: replies leave before the deadline with what is complete, and the work is not lost.

A gate holds the model still, so that what is complete at a deadline is exact.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import grpc
import pytest
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2_grpc as pb_grpc
from iterqr_server.engine.admission import AdmissionPolicy
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

    def call(self, query: str, timeout_s: float, tenant: str = "") -> Any:  # noqa: ANN401 - a future call, untyped
        """Starts a call and returns its future."""
        return self.stub.RewriteQuery.future(pb.RewriteQueryRequest(query=query, tenant=tenant), timeout=timeout_s)

    def wait_for_end(self, end: str = "complete") -> None:
        """Waits until a generation ended."""
        self.server.wait_until(lambda: self.server.metric("iterqr_generations_total", end=end) > 0)

    def wait_until_running(self) -> None:
        """Waits until the engine runs a request."""
        self.server.wait_until(lambda: self.server.metric("iterqr_engine_running") > 0)

    def wait_for_waiting(self, count: int) -> None:
        """Waits until so many requests wait for the engine."""
        self.server.wait_until(lambda: self.server.metric("iterqr_engine_waiting") == count)

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
        assert re.fullmatch(r"0 requests are waiting; the limit is 0; retry in \d+ ms", failure.details)
        assert failure.retry_after_ms
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


ONE_PLACE = EngineSettings(max_running=1, max_waiting=20, arena_positions=65_536, max_step_rows=4096, max_draft_rows=0)
"""Others wait behind one request; `always_admitted` and the predictable engine's fast steps let all of them in."""
HESITANT = AdmissionPolicy(safety=1000, always_admitted=1)
"""Refuses, of the predictable engine's fast estimates, any with less than half a minute to its deadline."""


def test_a_call_that_would_be_late_is_refused_at_once_and_told_when_to_retry() -> None:
    with gated_server(engine=replace(ONE_PLACE, admission=HESITANT)) as gated:
        first = gated.call("first", timeout_s=30)
        gated.wait_until_running()
        started = time.monotonic()
        failure = failure_of(lambda: gated.rewrite(10.0, "second"))
        assert time.monotonic() - started < 5
        assert failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        message = r"a first result is expected in \d+ ms; the deadline is in \d+ ms; retry in (\d+) ms"
        told = re.fullmatch(message, failure.details)
        assert told, failure.details
        assert failure.retry_after_ms == int(told[1])
        assert 1 <= failure.retry_after_ms < 10_000
        assert gated.server.metric("iterqr_refused_generations_total", reason="deadline_unreachable") == 1
        assert gated.server.metric("iterqr_engine_refused_deadline_total") == 1
        gated.gate.open()
        assert first.result().rewrites
        assert gated.rewrite(10.0, "second").rewrites, "an idle engine takes it"


def test_a_request_that_waits_past_its_deadline_is_dropped() -> None:
    with gated_server({"rewrite": {"reply_margin_ms": 100}}, engine=ONE_PLACE) as gated:
        first = gated.call("first", timeout_s=30)
        gated.wait_until_running()
        assert failure_of(lambda: gated.rewrite(0.5, "second")).code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert gated.server.metric("iterqr_engine_waiting") == 1
        gated.gate.let(1)
        gated.wait_for_waiting(0)
        assert gated.server.metric("iterqr_engine_expired_total") == 1
        assert gated.server.metric("iterqr_refused_generations_total", reason="deadline_expired") == 1
        gated.gate.open()
        assert first.result().rewrites


def test_a_request_that_has_started_is_not_cut_by_its_deadline() -> None:
    with gated_server({"rewrite": {"reply_margin_ms": 100}}, engine=ONE_PLACE) as gated:
        assert failure_of(lambda: gated.rewrite(0.5)).code is grpc.StatusCode.DEADLINE_EXCEEDED
        gated.gate.open()
        gated.wait_for_end()
        assert gated.rewrite().source == pb.SOURCE_CACHE
        assert gated.server.metric("iterqr_engine_expired_total") == 0


def test_a_patient_call_outlives_the_deadline_of_the_hurried_one_it_joined() -> None:
    with gated_server({"rewrite": {"reply_margin_ms": 100}}, engine=ONE_PLACE) as gated:
        first = gated.call("first", timeout_s=30)
        gated.wait_until_running()
        hurried = gated.call("second", timeout_s=1.0)
        gated.wait_for_waiting(1)
        patient = gated.call("second", timeout_s=30)
        gated.wait_for_misses(3)
        assert failure_of(hurried.result).code is grpc.StatusCode.DEADLINE_EXCEEDED
        gated.gate.open()
        assert first.result().rewrites
        assert patient.result().rewrites
        assert gated.server.metric("iterqr_engine_expired_total") == 1


def test_the_earliest_deadline_goes_first() -> None:
    with gated_server(engine=ONE_PLACE) as gated:
        calls = {"first": gated.call("first", timeout_s=250)}
        gated.wait_until_running()
        ends: list[str] = []
        for query, timeout_s in (("late", 200), ("soon", 100), ("middle", 150)):
            calls[query] = gated.call(query, timeout_s)
            gated.wait_for_waiting(len(calls) - 1)
            calls[query].add_done_callback(lambda _call, query=query: ends.append(query))
        gated.gate.open()
        assert all(call.result().rewrites for call in calls.values())
        gated.server.wait_until(lambda: len(ends) == 3)
        assert ends == ["soon", "middle", "late"]


def test_a_flood_of_one_tenant_delays_another_by_two_requests_at_most() -> None:
    with gated_server(engine=ONE_PLACE) as gated:
        flood = [gated.call(f"flood {i}", 100, tenant="loud") for i in range(12)]
        gated.wait_for_waiting(11)
        quiet = gated.call("pad tai", 200, tenant="quiet")
        gated.wait_for_waiting(12)
        steps_of_one = len(ANSWER) + 2
        before = gated.server.metric("iterqr_engine_steps_total")
        gated.gate.let(3 * steps_of_one)
        assert quiet.result().rewrites
        assert gated.server.metric("iterqr_engine_steps_total") - before <= 3 * steps_of_one
        assert sum(call.done() for call in flood) <= 2
        gated.gate.open()
        assert all(call.result().rewrites for call in flood)


def test_estimates_are_compared_with_what_came() -> None:
    with gated_server() as gated:
        gated.gate.open()
        assert gated.rewrite(30.0).rewrites
        assert gated.server.metric("iterqr_engine_estimate_error_seconds_count") == 1
