"""Clients that vanish in the middle of their calls: all they held is free, and others notice nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import grpc
import pytest
from google.protobuf.message import Message
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2_grpc as pb_grpc
from iterqr_server.engine.continuous_batching import ContinuousBatchingEngine
from iterqr_server.engine.settings import EngineSettings
from support.predictable import StepGate, last_query, predictable_engine
from support.rewrite_server import RunningServer, answer, running_server
from support.running_engine import busy_blocks

LIMITS = EngineSettings(max_running=4, arena_positions=65_536, max_step_rows=4096, max_draft_rows=8)

CLIENT = """
import sys, threading, grpc
channel = grpc.insecure_channel(sys.argv[1])
method = "/iterqr.rewrite.v1.QueryRewriteService/" + sys.argv[2]
requests = [bytes.fromhex(text) for text in sys.argv[3:]]
if method.endswith("RewriteQueries"):
    calls = [channel.stream_stream(method)(iter(requests))]
else:
    calls = [channel.unary_unary(method).future(request, timeout=300) for request in requests]
threading.Event().wait()
"""


def script(prompt: str) -> str:
    query = last_query(prompt)
    return answer(query, [f"{query} {number}" for number in range(3)])


@contextmanager
def client(address: str, method: str, requests: Sequence[Message]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that makes calls and then waits for ever."""
    arguments = [address, method, *(request.SerializeToString().hex() for request in requests)]
    with subprocess.Popen([sys.executable, "-c", CLIENT, *arguments]) as process:
        try:
            yield process
        finally:
            process.kill()


def rewrite_query(name: str) -> pb.RewriteQueryRequest:
    return pb.RewriteQueryRequest(query=name, request_id=name)


CALLS: dict[str, list[Message]] = {
    "RewriteQuery": [rewrite_query(f"unary{number}") for number in range(6)],
    "RewriteQueries": [pb.RewriteQueriesRequest(request=rewrite_query(f"bulk{number}")) for number in range(6)],
    "ScoreRewrites": [pb.ScoreRewritesRequest(query="scored", rewrites=[f"rewrite {n}" for n in range(6)])],
}


@contextmanager
def gated_server() -> Iterator[tuple[RunningServer, ContinuousBatchingEngine, StepGate]]:
    gate = StepGate()
    gate.open()
    engine = predictable_engine(script, settings=LIMITS, before_step=gate)
    with running_server(engine, overrides={"rewrite": {"max_background": 0}}) as server:
        gate.close()
        try:
            yield server, engine, gate
        finally:
            gate.open()


def blocks_in_use(server: RunningServer, engine: ContinuousBatchingEngine) -> int:
    async def read() -> int:
        return busy_blocks(engine)

    return server.run(read())


def held(server: RunningServer) -> float:
    return server.metric("iterqr_engine_running") + server.metric("iterqr_engine_waiting")


@pytest.mark.parametrize("method", CALLS)
def test_a_killed_client_frees_all_that_it_held(method: str) -> None:
    with gated_server() as (server, engine, gate):
        with client(server.address, method, CALLS[method]) as process:
            server.wait_until(lambda: held(server) >= LIMITS.max_running)
            assert blocks_in_use(server, engine) > 0
            process.kill()
            server.wait_until(lambda: held(server) == 0)  # while the step with its rows stands before the gate
        assert blocks_in_use(server, engine) == 0
        gate.open()
        with grpc.insecure_channel(server.address) as channel:
            reply = pb_grpc.QueryRewriteServiceStub(channel).RewriteQuery(rewrite_query("after"), timeout=60)
        assert [rewrite.text for rewrite in reply.rewrites] == ["after 0", "after 1", "after 2"]


def test_others_get_their_answers_while_clients_die_around_them() -> None:
    with (
        gated_server() as (server, engine, gate),
        grpc.insecure_channel(server.address) as channel,
        ExitStack() as dying,
    ):
        stub = pb_grpc.QueryRewriteServiceStub(channel)
        survivors = [stub.RewriteQuery.future(rewrite_query(f"survivor{n}"), timeout=60) for n in range(2)]
        server.wait_until(lambda: held(server) == 2)
        processes = [dying.enter_context(client(server.address, method, calls)) for method, calls in CALLS.items()]
        server.wait_until(lambda: held(server) >= 2 + 6 + 6)
        gate.let(3)
        for process in processes:
            process.kill()
            gate.let(3)
        server.wait_until(lambda: held(server) == 2)
        gate.open()
        for number, survivor in enumerate(survivors):
            texts = [rewrite.text for rewrite in survivor.result().rewrites]
            assert texts == [f"survivor{number} {n}" for n in range(3)]
        server.wait_until(lambda: held(server) == 0)
        assert blocks_in_use(server, engine) == 0
