"""Admission against a simulated engine: are its estimates right, and is more done in time with it than without?

The simulation runs steps as the engine does (decoding first, prompts in what is left of the rows) on a machine with
the measured costs of a small model on two cores, for requests that arrive at random and vary in length.
"""

from __future__ import annotations

import random
import statistics
from dataclasses import dataclass

import pytest
from iterqr_server.engine.admission import AdmissionPolicy, Estimate, ExpectationLearner, Load, Reject, Work, decide
from iterqr_server.engine.cost_curve import CostCurve, CostPoint
from iterqr_server.engine.waiting_queue import WaitingQueue

CURVE = CostCurve(tuple(CostPoint(2 << i, ms) for i, ms in enumerate((20.0, 29.0, 40.0, 61.0, 94.0, 168.0))))
PLACES, STEP_ROWS, PROMPT_ROWS, ROWS_A_STEP, LIMIT_S = 16, 64, 45, 2, 3.0
CAPACITY = 3.9
"""Requests a second that the machine completes with all places taken."""


@dataclass(eq=False)
class Simulated:
    arrival: float
    output: int
    prompt_left: int = PROMPT_ROWS
    generated: int = 0
    estimate: Estimate | None = None
    first: float | None = None

    @property
    def deadline(self) -> float:
        return self.arrival + LIMIT_S

    @property
    def is_in_time(self) -> bool:
        return self.first is not None and self.first <= self.deadline


class Simulation:
    def __init__(self, policy: AdmissionPolicy | None, seed: int) -> None:
        self.now = 0.0
        self.rejected = 0
        self._policy = policy
        self._random = random.Random(seed)
        self._queue: WaitingQueue[Simulated] = WaitingQueue()
        self._running: list[Simulated] = []
        self._learner = ExpectationLearner()

    def run(self, rate: float, count: int) -> list[Simulated]:
        requests, arrival = [], 0.0
        for _ in range(count):
            arrival += self._random.expovariate(rate)
            requests.append(Simulated(arrival, max(15, round(self._random.gauss(40, 8)))))
        coming = requests[::-1]
        while coming or self._running or self._queue:
            if not self._running and not self._queue:
                self.now = max(self.now, coming[-1].arrival)
            while coming and coming[-1].arrival <= self.now:
                self._submit(coming.pop())
            for late in self._queue.expired(self.now):
                self._queue.remove(late)
            while self._queue and len(self._running) < PLACES:
                self._running.append(self._queue.pop())
            self._step()
        return requests

    def _submit(self, request: Simulated) -> None:
        expected = self._learner.expected
        running = tuple(Work(r.prompt_left, expected.output_left(r.generated, 192)) for r in self._running)
        ahead = self._queue.ahead_of(tenant="", deadline=request.deadline)
        waiting = (Work(PROMPT_ROWS, expected.output_tokens),) * len(ahead)
        load = Load(running, waiting, PLACES, STEP_ROWS, expected, CURVE)
        new = Work(PROMPT_ROWS, expected.output_tokens)
        verdict = decide(new, load, self._policy or AdmissionPolicy(), now=self.now, deadline=request.deadline)
        if self._policy and isinstance(verdict, Reject):
            self.rejected += 1
            return
        request.estimate = verdict.estimate
        self._queue.push(request, tenant="", deadline=request.deadline, work=1)

    def _step(self) -> None:
        decoding = [request for request in self._running if not request.prompt_left]
        rows = ROWS_A_STEP * len(decoding)
        getting = list(decoding)
        for request in self._running:
            if request.prompt_left:
                count = min(request.prompt_left, STEP_ROWS - rows)
                request.prompt_left -= count
                rows += count
                if not request.prompt_left:
                    getting.append(request)
        if rows:
            self.now += CURVE.ms(rows) / 1000
        tokens = 0
        for request in getting:
            tokens += (got := self._random.choice((1, 2)) if request in decoding else 1)
            request.generated += got
            if request.first is None and request.generated >= 0.7 * request.output:
                request.first = self.now
                self._learner.first_rewrite(request.generated)
            if request.generated >= request.output:
                self._running.remove(request)
                self._learner.finished(request.output)
        if decoding:
            self._learner.step(len(decoding), tokens, ROWS_A_STEP * len(decoding))


@pytest.mark.parametrize("load", [0.25, 0.5, 0.75, 1.0, 2.0, 3.0])
def test_estimates_are_right_on_average_at_any_load(load: float) -> None:
    requests = Simulation(AdmissionPolicy(), seed=1).run(load * CAPACITY, 400)
    errors = [r.first - r.arrival - r.estimate.first_rewrite_s for r in requests if r.first and r.estimate]
    actual = [r.first - r.arrival for r in requests if r.first]
    assert abs(statistics.median(errors)) < 0.15 * statistics.median(actual)


@pytest.mark.parametrize("load", [2.0, 3.0])
def test_under_overload_what_is_taken_is_done_in_time_and_the_machine_is_used(load: float) -> None:
    simulation = Simulation(AdmissionPolicy(), seed=2)
    requests = simulation.run(load * CAPACITY, 400)
    taken = [request for request in requests if request.estimate]
    in_time = sum(request.is_in_time for request in taken)
    assert simulation.rejected > 0.3 * len(requests)
    assert in_time >= 0.9 * len(taken)
    assert in_time / simulation.now >= 0.8 * CAPACITY

    without = Simulation(None, seed=2)
    assert sum(request.is_in_time for request in without.run(load * CAPACITY, 400)) < 0.2 * in_time


def test_below_capacity_little_is_refused() -> None:
    simulation = Simulation(AdmissionPolicy(), seed=3)
    requests = simulation.run(0.5 * CAPACITY, 400)
    assert simulation.rejected <= 0.03 * len(requests)
    assert sum(request.is_in_time for request in requests) >= 0.95 * len(requests)
