"""The process that makes the load: locust's users search in a closed loop, phase after phase.

python -m iterqr_benchmarks.search_load.load_process PLAN.json SAMPLES.json
"""

from __future__ import annotations

import sys
from pathlib import Path

# First of all: locust makes sockets cooperative before anything uses them.
import locust.env
from locust import User, task
from locust.contrib.fasthttp import FastHttpUser

# isort: split

import itertools
import json
import math
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import gevent
import psutil
from opensearchpy import OpenSearch
from opensearchpy.exceptions import OpenSearchException

from iterqr_benchmarks.search_load.plan import Arm, Phase, Plan, read_plan
from iterqr_benchmarks.search_load.samples import PhaseSamples, write_samples

LEAD_IN_S = 0.25
"""At the start of a phase, in which connections are opened: not measured."""
_QUERY = "QUERY"  # stands for the query in the plan's body
_OUTCOME = re.compile(rb'"iterqr":\{[^{}]*?"outcome":"(\w+)"')
_JSON = {"Content-Type": "application/json"}
_TIMEOUT_S = 30.0
_READY_S = 30.0
_IDLE_SHARE = 0.05
_IDLE_WINDOW_S = 0.3


class NotReadyError(Exception):
    """The node did not come to answer an arm's searches as they should be."""


class _Searches:
    """The searches of one phase and what became of them."""

    def __init__(self, plan: Plan, arm: Arm, queries: Iterator[str]) -> None:
        self.path = f"/{plan.index}/_search" + (f"?search_pipeline={arm.pipeline}" if arm.pipeline else "")
        self.latencies_ms: list[float] = []
        self.outcomes: Counter[str] = Counter()
        self.counts_from = float("inf")
        self._body = json.dumps({**plan.body, **({"ext": arm.ext} if arm.ext else {})})
        self._queries = queries

    def next_body(self) -> str:
        """The next search, as JSON."""
        return self._body.replace(json.dumps(_QUERY), json.dumps(next(self._queries)))

    def ended(self, began: float, outcome: str) -> None:
        """One search has ended."""
        if began >= self.counts_from:
            self.latencies_ms.append((time.perf_counter() - began) * 1000)
            self.outcomes[outcome] += 1


class _Maker:
    """Runs phases."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._client = OpenSearch(plan.url, timeout=_TIMEOUT_S)
        self._repeated = itertools.cycle(plan.queries)
        self._fresh = _fresh(plan)
        self._node, self._own = psutil.Process(plan.node_pid), psutil.Process()
        self._server = None if plan.server_pid is None else psutil.Process(plan.server_pid)

    def run(self, phase: Phase) -> PhaseSamples:
        """Makes the load of a phase; the cluster's settings are the arm's meanwhile."""
        arm = self._plan.arm(phase.arm)
        searches = _Searches(self._plan, arm, self._fresh if arm.fresh else self._repeated)
        self._set(arm.settings)
        try:
            self._wait_until_ready(arm)
            return self._measure(phase, searches)
        finally:
            self._set(dict.fromkeys(arm.settings))
            if arm.fresh:
                self._wait_until_idle()

    def _measure(self, phase: Phase, searches: _Searches) -> PhaseSamples:
        environment = locust.env.Environment(
            user_classes=[_raw_user(self._plan.url, searches) if phase.client == "raw HTTP" else
                          _library_user(self._plan, searches)],
            stop_timeout=_TIMEOUT_S,
        )  # fmt: skip
        runner = environment.create_local_runner()
        runner.start(phase.users, spawn_rate=phase.users)
        gevent.sleep(LEAD_IN_S)
        before, began = self._cpu(), time.perf_counter()
        searches.counts_from = began
        gevent.sleep(phase.duration_s)
        after, measured_s = self._cpu(), time.perf_counter() - began
        counted = len(searches.latencies_ms)  # what ends later began in time, but is not of this time
        latencies, outcomes = tuple(searches.latencies_ms[:counted]), dict(searches.outcomes)
        runner.quit()
        node, server, maker = (end - start for end, start in zip(after, before, strict=True))
        return PhaseSamples(phase, latencies, outcomes, measured_s, node, server, maker)

    def _set(self, settings: dict[str, Any]) -> None:
        if settings:
            self._client.cluster.put_settings(body={"persistent": settings})

    def _wait_until_ready(self, arm: Arm) -> None:
        searches = _Searches(self._plan, arm, itertools.cycle(self._plan.queries))
        deadline = time.monotonic() + _READY_S
        outcome = ""
        while arm.outcomes:
            response = self._client.transport.perform_request("POST", searches.path, body=searches.next_body())
            outcome = response["ext"]["iterqr"]["outcome"]
            if outcome in arm.outcomes:
                return
            if time.monotonic() > deadline:
                raise NotReadyError(f"arm {arm.name!r}: searches end as {outcome!r}, not one of {arm.outcomes}")

    def _wait_until_idle(self) -> None:
        """What the server goes on to generate would disturb the next phase."""
        deadline = time.monotonic() + _READY_S
        while self._server is not None and time.monotonic() < deadline:
            before = _cpu_s(self._server)
            gevent.sleep(_IDLE_WINDOW_S)
            if _cpu_s(self._server) - before < _IDLE_SHARE * _IDLE_WINDOW_S:
                return

    def _cpu(self) -> tuple[float, float, float]:
        return _cpu_s(self._node), _cpu_s(self._server), _cpu_s(self._own)


def _cpu_s(process: psutil.Process | None) -> float:
    return math.nan if process is None else sum(process.cpu_times()[:2])


def _raw_user(url: str, searches: _Searches) -> type[User]:
    class RawUser(FastHttpUser):
        """Sends bytes and looks for the outcome in the bytes that come back."""

        host = url
        connection_timeout = network_timeout = _TIMEOUT_S

        @task
        def search(self) -> None:
            """Searches once."""
            body = searches.next_body()
            began = time.perf_counter()
            response = self.client.post(searches.path, data=body, headers=_JSON, name="search")
            if response.status_code == 200:
                found = _OUTCOME.search(response.content or b"")
                searches.ended(began, found[1].decode() if found else "")
            else:
                searches.ended(began, f"HTTP {response.status_code}")

    return RawUser


def _library_user(plan: Plan, searches: _Searches) -> type[User]:
    class LibraryUser(User):
        """Searches as an application in Python does."""

        def on_start(self) -> None:
            """Each user is an application with a connection of its own."""
            self._client = OpenSearch(plan.url, timeout=_TIMEOUT_S, max_retries=0)

        @task
        def search(self) -> None:
            """Searches once; locust is told, and keeps statistics as for its own client."""
            body = searches.next_body()
            began = time.perf_counter()
            outcome, failure = "", None
            try:
                response = self._client.transport.perform_request("POST", searches.path, body=body)
                outcome = response.get("ext", {}).get("iterqr", {}).get("outcome", "")
            except OpenSearchException as error:
                outcome, failure = type(error).__name__, error
            searches.ended(began, outcome)
            self.environment.events.request.fire(
                request_type="opensearch-py",
                name="search",
                response_time=(time.perf_counter() - began) * 1000,
                response_length=0,
                exception=failure,
                context={},
            )

    return LibraryUser


def _fresh(plan: Plan) -> Iterator[str]:
    """New queries without end: the same two lists of words give another one each time."""
    chosen = random.Random(plan.seed)
    first, second = plan.words
    for number in itertools.count():
        yield f"{chosen.choice(first)} {chosen.choice(second)} {number}"


def main(plan_file: Path, samples_file: Path) -> None:
    """Runs all phases of a plan, telling each on standard output as it begins."""
    plan = read_plan(plan_file)
    maker = _Maker(plan)
    samples = []
    for number, phase in enumerate(plan.phases, start=1):
        print(
            f"{number}/{len(plan.phases)} round {phase.round}: {phase.arm}, {phase.users} x {phase.client}", flush=True
        )
        samples.append(maker.run(phase))
    write_samples(samples_file, samples)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
