"""The process that makes the load, with locust. A process of its own, because locust patches the standard library.

python -m iterqr_benchmarks.rpc_load.load_process PHASE.json CALLS.jsonl
"""

from __future__ import annotations

import sys
from pathlib import Path

# ruff: noqa: E402, I001 - locust patches the standard library before anything else loads
from locust import User, task
from locust.env import Environment
import gevent
from gevent.pool import Group
import grpc.experimental.gevent as grpc_gevent

grpc_gevent.init_gevent()

import itertools
import random
import time
from collections.abc import Iterator

import grpc
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2_grpc as pb_grpc

from iterqr_benchmarks.rpc_load.phase import Phase, read_phase
from iterqr_benchmarks.rpc_load.samples import OK, Call, write_calls

_METHOD = "RewriteQuery"
_GRACE_S = 5.0
_PAUSE_S = 0.5


class _Caller:
    """Makes calls and keeps what they came to."""

    def __init__(self, phase: Phase, environment: Environment) -> None:
        self.phase = phase
        self.calls: list[Call] = []
        self.began = time.perf_counter()
        self.random = random.Random(phase.seed)
        self._environment = environment
        self._fresh: Iterator[str] = iter(phase.fresh)
        self._repeated = itertools.cycle(phase.repeated)
        channel = grpc.insecure_channel(phase.address, options=[("grpc.enable_http_proxy", 0)])
        self._service = pb_grpc.QueryRewriteServiceStub(channel)

    def call(self) -> str:
        """Makes one call, waits for its end and returns its gRPC status."""
        repeated = self.random.random() < self.phase.repeated_share
        query = next(self._repeated) if repeated else next(self._fresh)
        began = time.perf_counter()
        code, rewrites, failure = OK, 0, None
        try:
            reply = self._service.RewriteQuery(
                pb.RewriteQueryRequest(query=query), timeout=self.phase.deadline_ms / 1000
            )
            rewrites = len(reply.rewrites)
        except grpc.RpcError as error:
            code, failure = error.code().name, error
        latency_ms = (time.perf_counter() - began) * 1000
        self.calls.append(Call(began - self.began, latency_ms, code, rewrites, repeated))
        self._environment.events.request.fire(  # type: ignore[no-untyped-call]
            request_type="grpc",
            name=_METHOD,
            response_time=latency_ms,
            response_length=rewrites,
            exception=failure,
            context={},
        )
        return code


def run(phase: Phase) -> list[Call]:
    """Makes the load of a phase and returns every call, once the last one has ended."""
    # At the end, what is in flight is waited for: a call that was cut off would tell nothing about the server.
    environment = Environment(stop_timeout=phase.deadline_ms / 1000 + _GRACE_S)
    caller = _Caller(phase, environment)
    unanswered = Group()

    class ClosedLoop(User):
        """Calls again as soon as the last call has ended."""

        @task
        def rewrite(self) -> None:
            """Makes one call; after a refusal it waits a while, as a client that heeds the retry hint."""
            if caller.call() != OK:
                gevent.sleep(_PAUSE_S)

    class OpenLoop(User):
        """Begins calls at the times of a Poisson process, without waiting for their ends."""

        @task
        def arrive(self) -> None:
            """Begins one call."""
            gevent.sleep(caller.random.expovariate(phase.rate_per_s))
            unanswered.spawn(caller.call)

    environment.user_classes = [ClosedLoop if phase.users else OpenLoop]
    runner = environment.create_local_runner()
    caller.began = time.perf_counter()
    runner.start(phase.users or 1, spawn_rate=phase.users or 1)
    gevent.sleep(phase.duration_s)
    runner.quit()
    unanswered.join()
    return caller.calls


if __name__ == "__main__":
    write_calls(Path(sys.argv[2]), run(read_phase(Path(sys.argv[1]))))
