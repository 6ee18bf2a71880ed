"""Admission in a running engine: what the batch means for a new request, and what was learned from steps so far."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Several
from dataclasses import dataclass

from iterqr_server.engine.admission import (
    Admit,
    ExpectationLearner,
    Load,
    Reject,
    Work,
    decide,
    next_start_s,
)
from iterqr_server.engine.batch import Batch
from iterqr_server.engine.cost_curve import CostCorrection, CostCurve
from iterqr_server.engine.errors import DeadlineUnreachableError, QueueFullError
from iterqr_server.engine.scheduler import StepPlan
from iterqr_server.engine.sequence import Sequence
from iterqr_server.engine.settings import EngineSettings


@dataclass(slots=True)
class AdmissionCounters:
    """What became of requests since start."""

    admitted: int = 0
    queue_full: int = 0
    deadline_unreachable: int = 0
    expired: int = 0  # admitted, but still waiting at their deadline


class AdmissionControl:
    """Takes or refuses requests, and learns from those that run. Times are of the event loop's clock.

    `start` hands in the machine's curve before anything else is called.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self.counters = AdmissionCounters()
        self._settings = settings
        self._curve: CostCurve | None = None
        self._correction = CostCorrection()
        self._learner = ExpectationLearner()

    def start(self, curve: CostCurve) -> None:
        """Takes the cost curve of the machine."""
        self._curve = curve

    def check_queue(self, batch: Batch, more: int) -> None:
        """Refuses `more` requests if they would not all start or wait.

        Raises:
            QueueFullError: more requests would wait than may.
        """
        waiting = len(batch.waiting)
        starting = 0 if waiting else self._settings.max_running - len(batch.running)
        if waiting + more - starting > self._settings.max_waiting:
            self.counters.queue_full += 1
            raise QueueFullError(waiting, self._settings.max_waiting, next_start_s(self._load(batch, ())))

    def check_deadline(self, batch: Batch, sequences: Several[Sequence], now: float) -> None:
        """Admits the requests of one call, all with the same tenant and deadline, and notes what is expected of them.

        Raises:
            DeadlineUnreachableError: their first result is not expected in time.
        """
        first = sequences[0]
        for sequence in sequences:
            sequence.expected_rows = batch.rows_to_compute(sequence)
        work = [self._work(sequence) for sequence in sequences]
        new = Work(sum(each.prompt_rows for each in work), sum(each.output_tokens for each in work))
        load = self._load(batch, batch.waiting.ahead_of(tenant=first.tenant, deadline=first.deadline))
        match decide(new, load, self._settings.admission, now=now, deadline=first.deadline):
            case Admit(estimate):
                self.counters.admitted += 1
                for sequence in sequences:
                    sequence.expected_s = estimate.first_rewrite_s
            case Reject(estimate, retry_after_s):
                self.counters.deadline_unreachable += 1
                left_s = 0.0 if first.deadline is None else first.deadline - now
                raise DeadlineUnreachableError(estimate.first_rewrite_s, left_s, retry_after_s)

    def step_ended(self, plan: StepPlan, tokens: Several[int], seconds: float) -> None:
        """A step ended that took `seconds` in all; `tokens` are what each chunk of the plan brought."""
        self._correction.observe(self._machine.ms(plan.rows), seconds * 1000)
        decoding = [
            (count, chunk.rows)
            for chunk, count in zip(plan.chunks, tokens, strict=True)
            if chunk.start >= chunk.sequence.prompt_length
        ]
        if decoding:
            self._learner.step(len(decoding), sum(count for count, _ in decoding), sum(rows for _, rows in decoding))

    def first_result(self, sequence: Sequence, tokens: int, now: float) -> float:
        """A request's caller has something usable since its token number `tokens`.

        Returns the seconds by which that came later than was estimated when it was admitted.
        """
        sequence.has_result = True
        self._learner.first_rewrite(tokens)
        return now - sequence.arrived - sequence.expected_s

    def request_ended(self, sequence: Sequence, *, is_aborted: bool) -> None:
        """A request that was started leaves. One aborted before its first result tells nothing of lengths."""
        if sequence.generated and (sequence.has_result or not is_aborted):
            self._learner.finished(sequence.generated)

    @property
    def _machine(self) -> CostCurve:
        if self._curve is None:
            raise ValueError("start was not called")
        return self._curve

    def _load(self, batch: Batch, ahead: Iterable[Sequence]) -> Load:
        full = bool(batch.waiting and batch.running)  # of places or of the arena's room
        return Load(
            running=tuple(map(self._work, batch.running)),
            ahead=tuple(map(self._work, ahead)),
            places=len(batch.running) if full else self._settings.max_running,
            max_step_rows=self._settings.max_step_rows,
            expected=self._learner.expected,
            curve=self._machine,
            slowdown=self._correction.factor,
        )

    def _work(self, sequence: Sequence) -> Work:
        if sequence.answer_ids:
            return Work(sequence.expected_rows, 0.0)
        left = self._learner.expected.output_left(sequence.generated, sequence.max_new_tokens)
        return Work(0 if sequence.is_decoding else sequence.expected_rows, left)
