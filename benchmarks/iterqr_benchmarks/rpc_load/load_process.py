"""The process that makes the load: locust's users decide when to call, a thread beside them makes the calls.

python -m iterqr_benchmarks.rpc_load.load_process PHASE.json LOAD.json
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Before locust is imported, which reads it: the calls need threads, sockets and an event loop as they are.
os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"

import itertools
import random
import time
from collections.abc import Iterator

import gevent
from gevent.event import AsyncResult
from locust import User, task
from locust.env import Environment

from iterqr_benchmarks.rpc_load.call_thread import PATIENCE_S, CallThread
from iterqr_benchmarks.rpc_load.phase import Phase, read_phase
from iterqr_benchmarks.rpc_load.samples import OK, Call, Load, write_load

_METHOD = "RewriteQuery"
_GRACE_S = PATIENCE_S + 5.0
_PAUSE_S = 0.5


class CallFailedError(Exception):
    """A call ended with another status than OK; the message is its name."""


class _Caller:
    """Chooses queries, has them called and keeps what came of it."""

    def __init__(self, phase: Phase, environment: Environment) -> None:
        self.calls: list[Call] = []
        self.random = random.Random(phase.seed)
        self._phase = phase
        self._environment = environment
        self._fresh: Iterator[str] = iter(phase.fresh)
        self._repeated = itertools.cycle(phase.repeated)
        self._thread = CallThread(phase.address, phase.deadline_ms, time.perf_counter(), self._ended)

    def begin(self, due: float) -> AsyncResult[Call]:
        """Begins a call that was `due` at a time of `time.perf_counter`."""
        repeated = self.random.random() < self._phase.repeated_share
        server_timed = self.random.random() < self._phase.server_timed_share
        query = next(self._repeated if repeated else self._fresh)
        return self._thread.begin(query, due=due, repeated=repeated, server_timed=server_timed)

    def close(self) -> None:
        """Ends the thread, once every call has ended."""
        self._thread.close()

    def _ended(self, call: Call) -> None:
        self.calls.append(call)
        self._environment.events.request.fire(  # type: ignore[no-untyped-call]
            request_type="grpc",
            name=_METHOD,
            response_time=call.latency_ms,
            response_length=call.rewrites,
            exception=None if call.code == OK else CallFailedError(call.code),
            context={},
        )


def run(phase: Phase) -> Load:
    """Makes the load of a phase and returns every call, once the last one has ended."""
    # At the end, what is in flight is waited for: a call that was cut off would tell nothing about the server.
    environment = Environment(stop_timeout=phase.deadline_ms / 1000 + _GRACE_S)
    caller = _Caller(phase, environment)
    unanswered: list[AsyncResult[Call]] = []

    class ClosedLoop(User):
        """Calls again as soon as the last call has ended."""

        @task
        def rewrite(self) -> None:
            """Makes one call; after a refusal it waits a while, as a client that heeds the retry hint."""
            if caller.begin(time.perf_counter()).get().code != OK:
                gevent.sleep(_PAUSE_S)

    class OpenLoop(User):
        """Begins calls at the times of a Poisson process, without waiting for their ends."""

        def on_start(self) -> None:
            """The first call is one interval away."""
            self._due = time.perf_counter()

        @task
        def arrive(self) -> None:
            """Begins one call. Times add up from the start: a wake-up that was late delays no later call."""
            self._due += caller.random.expovariate(phase.rate_per_s)
            gevent.sleep(max(0.0, self._due - time.perf_counter()))
            unanswered.append(caller.begin(self._due))

    environment.user_classes = [ClosedLoop if phase.users else OpenLoop]
    runner = environment.create_local_runner()
    cpu_before_s = time.process_time()
    runner.start(phase.users or 1, spawn_rate=phase.users or 1)
    gevent.sleep(phase.duration_s)
    runner.quit()
    for result in unanswered:
        result.get()
    cpu_s = time.process_time() - cpu_before_s
    caller.close()
    return Load(tuple(caller.calls), cpu_s)


if __name__ == "__main__":
    write_load(Path(sys.argv[2]), run(read_phase(Path(sys.argv[1]))))
