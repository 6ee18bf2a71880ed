"""Whether a new request can be of use in time: estimated when it comes, so that it is refused at once and not late.

The model. A request has a prompt of p rows to compute and is expected to write o tokens. Requests run in M places,
and wait for one in service order. A step that b requests decode in has min(b d, R) rows of theirs (d: rows a request
has in a step, drafts included; R: the most rows of a step) and brings each of them a tokens. With c the machine's cost
curve, k its correction and r its milliseconds a row:

    steps(p, o) = p / R + o / a                 steps in which a request holds its place
    step_ms(b)  = k c(min(b d, R))              a step in which b requests decode
    row_ms      = k r                           each prompt row, on top of the steps it shares

A place's clock counts steps: each running request frees its place after its steps, each waiting one takes the place
that is free first. t is the step at which the new request gets its place, 0 if one is free. P are the prompt rows of
all before it, which are computed before its own; b = min(n + 1, M) with n requests before it. x steps after its start
the time is

    time(x) = (t + x) step_ms(b) + (P + p + q x) row_ms

where q x are the prompt rows of later arrivals: each of the b - 1 requests beside it is taken to be replaced by one
like it when it ends, as in a steady state, so q = (b - 1) p / steps(p, o). Then

    start = time(0) without p,   first rewrite = time(steps(p, s o)),   completion = time(steps(p, o))

where s is the expected share of the output up to the end of the first rewrite. More load makes no estimate earlier:
t, P, b and q only grow with it. What the model leaves out: the rest of the step under way, drafts growing fewer
under load, and a request with an earlier deadline that comes later and goes first.

The server replies at the deadline with the rewrites that are complete, so a request is worth its work if its first
rewrite is expected before the deadline, with a margin of safety. Up to `always_admitted` requests are in the engine
whatever their deadlines: a result too late for its caller is cached for the next, and only steps that run can correct
an estimate that was too high.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from iterqr_server.engine.cost_curve import CostCurve

LEAST_LEFT_SHARE = 0.25
"""Of the mean output, what is expected of a request that has written as much as the mean or more."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What requests are like: measured by `ExpectationLearner`; the defaults are where it starts."""

    output_tokens: float = 40.0
    tokens_per_step: float = 1.5  # of a request that decodes
    rows_per_step: float = 2.0  # the same, drafts included
    first_rewrite_share: float = 0.7  # of the output, up to the end of the first rewrite

    def output_left(self, generated: int, max_new_tokens: int) -> float:
        """Returns the tokens expected of a request that has written `generated` already."""
        expected = max(self.output_tokens - generated, LEAST_LEFT_SHARE * self.output_tokens)
        return min(expected, max_new_tokens - generated)


@dataclass(frozen=True, slots=True)
class Work:
    """What a request has before it. `prompt_rows` are those to be computed, without what is shared and kept."""

    prompt_rows: int
    output_tokens: float


@dataclass(frozen=True, slots=True)
class Load:
    """What a new request meets.

    `ahead` are the waiting requests that start before it, in that order. `places` is how many requests can run at
    once. `slowdown` corrects `curve` for the present (`CostCorrection.factor`).
    """

    running: tuple[Work, ...]
    ahead: tuple[Work, ...]
    places: int
    max_step_rows: int
    expected: Expected
    curve: CostCurve
    slowdown: float = 1.0

    @property
    def requests(self) -> int:
        """Running, and waiting before the new one."""
        return len(self.running) + len(self.ahead)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds from now."""

    start_s: float
    first_rewrite_s: float
    completion_s: float


@dataclass(frozen=True, slots=True)
class AdmissionPolicy:
    """How sure an estimate must be.

    `safety` multiplies the estimated time of the first rewrite: in simulated overload 1.0 wastes a third of the work
    on what comes late, 1.3 a few percent, and 1.5 refuses some that would have been in time. `always_admitted`
    requests are taken without a look at their deadlines.
    """

    safety: float = 1.3
    always_admitted: int = 2

    def __post_init__(self) -> None:
        if self.safety <= 0:
            raise ValueError(f"safety: must be positive, got {self.safety}")
        if self.always_admitted < 0:
            raise ValueError(f"always_admitted: must not be negative, got {self.always_admitted}")


@dataclass(frozen=True, slots=True)
class Admit:
    """The request is taken."""

    estimate: Estimate


@dataclass(frozen=True, slots=True)
class Reject:
    """The request would be of no use in time. After `retry_after_s` one like it would be taken, if no other came."""

    estimate: Estimate
    retry_after_s: float


def decide(new: Work, load: Load, policy: AdmissionPolicy, *, now: float, deadline: float | None) -> Admit | Reject:
    """Returns whether to take `new`. `now` and `deadline` are times of one clock, in seconds."""
    estimate = estimate_times(new, load)
    if deadline is None or load.requests < policy.always_admitted:
        return Admit(estimate)
    late_s = policy.safety * estimate.first_rewrite_s - (deadline - now)
    if late_s <= 0:
        return Admit(estimate)
    return Reject(estimate, max(min(late_s, drain_s(load)), _step_ms(load, 1) / 1000))


def estimate_times(new: Work, load: Load) -> Estimate:
    """Returns when `new` is expected to start, to have its first rewrite and to be complete: the module's model."""
    full = load.requests >= _places(load)
    start_step = _free_places(load)[0] if full else 0.0
    running = min(load.requests + 1, _places(load))
    step_ms = _step_ms(load, running)
    row_ms = load.slowdown * load.curve.row_ms
    rows_ahead = sum(work.prompt_rows for work in (*load.running, *load.ahead))
    all_steps = _steps(load, new.prompt_rows, new.output_tokens)
    first_steps = _steps(load, new.prompt_rows, load.expected.first_rewrite_share * new.output_tokens)
    joining_rows = (running - 1) * new.prompt_rows / all_steps if all_steps else 0.0

    def seconds(steps: float, own_rows: int) -> float:
        rows = rows_ahead + own_rows + joining_rows * steps
        return ((start_step + steps) * step_ms + rows * row_ms) / 1000

    return Estimate(seconds(0.0, 0), seconds(first_steps, new.prompt_rows), seconds(all_steps, new.prompt_rows))


def drain_s(load: Load) -> float:
    """Returns the seconds until everything in `load` is complete, if nothing else comes."""
    if not load.requests:
        return 0.0
    rows = sum(work.prompt_rows for work in (*load.running, *load.ahead))
    busy = min(load.requests, _places(load))
    return (max(_free_places(load)) * _step_ms(load, busy) + rows * load.slowdown * load.curve.row_ms) / 1000


def next_start_s(load: Load) -> float:
    """Returns the seconds until a place becomes free: when to retry if the queue is full. At least one step."""
    step_ms = _step_ms(load, max(1, len(load.running)))
    if len(load.running) < load.places:
        return step_ms / 1000
    steps = min(_steps(load, work.prompt_rows, work.output_tokens) for work in load.running)
    rows = sum(work.prompt_rows for work in load.running)
    return (max(steps, 1.0) * step_ms + rows * load.slowdown * load.curve.row_ms) / 1000


class ExpectationLearner:
    """Exponentially weighted means of what requests turn out to be like."""

    STEP_WEIGHT = 0.02
    REQUEST_WEIGHT = 0.05

    def __init__(self, prior: Expected | None = None) -> None:
        start = prior or Expected()
        self._requests = 1.0
        self._step_tokens = start.tokens_per_step
        self._step_rows = start.rows_per_step
        self._output_tokens = start.output_tokens
        self._first_tokens = start.first_rewrite_share * start.output_tokens

    @property
    def expected(self) -> Expected:
        """What to expect now."""
        return Expected(
            output_tokens=self._output_tokens,
            tokens_per_step=self._step_tokens / self._requests,
            rows_per_step=self._step_rows / self._requests,
            first_rewrite_share=min(1.0, self._first_tokens / self._output_tokens),
        )

    def step(self, requests: int, tokens: int, rows: int) -> None:
        """A step ended in which `requests`, at least one, decoded with `rows` rows and got `tokens`, one each at least.

        Prompt rows are not counted. A step counts for as much as requests were in it.
        """
        self._requests += self.STEP_WEIGHT * (requests - self._requests)
        self._step_tokens += self.STEP_WEIGHT * (tokens - self._step_tokens)
        self._step_rows += self.STEP_WEIGHT * (rows - self._step_rows)

    def first_rewrite(self, tokens: int) -> None:
        """A request's first rewrite was complete with its token number `tokens`, from 1."""
        self._first_tokens += self.REQUEST_WEIGHT * (tokens - self._first_tokens)

    def finished(self, output_tokens: int) -> None:
        """A request ended with `output_tokens`, at least one. Not for one that its caller gave up."""
        self._output_tokens += self.REQUEST_WEIGHT * (output_tokens - self._output_tokens)


def _places(load: Load) -> int:
    return max(load.places, len(load.running))


def _steps(load: Load, prompt_rows: int, output_tokens: float) -> float:
    return prompt_rows / load.max_step_rows + output_tokens / load.expected.tokens_per_step


def _step_ms(load: Load, decoding: int) -> float:
    rows = min(max(2, round(decoding * load.expected.rows_per_step)), load.max_step_rows)
    return load.slowdown * load.curve.ms(rows)


def _free_places(load: Load) -> list[float]:
    """Returns a heap with the step at which each place is free of what runs and waits before the new request."""
    ends = [_steps(load, work.prompt_rows, work.output_tokens) for work in load.running]
    ends += [0.0] * (_places(load) - len(ends))
    heapq.heapify(ends)
    for work in load.ahead:
        heapq.heapreplace(ends, ends[0] + _steps(load, work.prompt_rows, work.output_tokens))
    return ends
