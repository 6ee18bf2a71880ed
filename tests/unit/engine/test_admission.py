"""When a request would have its rewrites, and whether that is worth starting."""

from __future__ import annotations

from dataclasses import astuple, replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from iterqr_server.engine.admission import (
    AdmissionPolicy,
    Admit,
    Estimate,
    ExpectationLearner,
    Expected,
    Load,
    Reject,
    Work,
    decide,
    drain_s,
    estimate_times,
    next_start_s,
)
from iterqr_server.engine.cost_curve import CostCurve, CostPoint

CURVE = CostCurve((CostPoint(2, 20.0), CostPoint(64, 144.0)))
"""16 ms and 2 ms a row."""
EXPECTED = Expected(output_tokens=40, tokens_per_step=2.0, rows_per_step=4.0, first_rewrite_share=0.5)
NEW = Work(prompt_rows=32, output_tokens=40)
"""20.5 steps of its own, 10.5 until its first rewrite."""
IDLE = Load(running=(), ahead=(), places=4, max_step_rows=64, expected=EXPECTED, curve=CURVE)
POLICY = AdmissionPolicy(safety=1.0, always_admitted=0)


def assert_near(estimate: Estimate, start_s: float, first_rewrite_s: float, completion_s: float) -> None:
    assert astuple(estimate) == pytest.approx((start_s, first_rewrite_s, completion_s))


def test_alone_a_request_pays_its_steps_and_its_prompt() -> None:
    # a step of 4 rows: 24 ms; the prompt: 32 rows of 2 ms
    assert_near(estimate_times(NEW, IDLE), 0.0, (10.5 * 24 + 64) / 1000, (20.5 * 24 + 64) / 1000)


def test_with_a_free_place_the_others_make_steps_longer_and_their_prompts_come_first() -> None:
    load = replace(IDLE, running=(Work(0, 10), Work(16, 40)))
    # three requests: 12 rows, 40 ms; 16 prompt rows before it; beside it two prompts of 32 rows come in its 20.5 steps
    joining = 2 * 32 / 20.5
    assert_near(
        estimate_times(NEW, load),
        0.032,
        (10.5 * 40 + (16 + 32 + joining * 10.5) * 2) / 1000,
        (20.5 * 40 + (16 + 32 + 64) * 2) / 1000,
    )


def test_without_a_free_place_it_waits_for_the_first() -> None:
    load = replace(IDLE, places=2, running=(Work(0, 10), Work(0, 30)), ahead=(Work(32, 20),))
    # places are free after 5 and 15 steps; the one ahead takes the first until 5 + 10.5, the new one the second at 15
    # two requests: 8 rows, 32 ms; beside it one more prompt of 32 rows comes in during its 20.5 steps
    joining = 32 / 20.5
    assert_near(
        estimate_times(NEW, load),
        (15 * 32 + 64) / 1000,
        (25.5 * 32 + (32 + 32 + joining * 10.5) * 2) / 1000,
        (35.5 * 32 + (32 + 32 + 32) * 2) / 1000,
    )


def test_a_step_never_has_more_rows_than_it_may() -> None:
    load = replace(IDLE, places=32, running=(Work(0, 40),) * 31)
    assert_near(estimate_times(Work(0, 40), load), 0.0, 10 * 0.144, 20 * 0.144)


def test_a_slow_machine_makes_everything_later_alike() -> None:
    load = replace(IDLE, running=(Work(7, 10),) * 9)
    plain, slow = estimate_times(NEW, load), estimate_times(NEW, replace(load, slowdown=3.0))
    assert_near(slow, 3 * plain.start_s, 3 * plain.first_rewrite_s, 3 * plain.completion_s)


def test_a_request_is_taken_while_its_first_rewrite_is_in_time() -> None:
    estimate = estimate_times(NEW, IDLE)  # first rewrite after 0.316 s, complete after 0.556 s
    assert decide(NEW, IDLE, POLICY, now=5.0, deadline=5.317) == Admit(estimate)
    assert isinstance(decide(NEW, IDLE, POLICY, now=5.0, deadline=5.315), Reject)
    assert isinstance(decide(NEW, IDLE, replace(POLICY, safety=2.0), now=5.0, deadline=5.5), Reject)


def test_without_a_deadline_or_with_room_for_anything_it_is_always_taken() -> None:
    busy = replace(IDLE, running=(Work(0, 40),))
    assert isinstance(decide(NEW, busy, POLICY, now=0.0, deadline=None), Admit)
    assert isinstance(decide(NEW, busy, replace(POLICY, always_admitted=2), now=0.0, deadline=-1.0), Admit)
    assert isinstance(decide(NEW, busy, replace(POLICY, always_admitted=1), now=0.0, deadline=-1.0), Reject)


@pytest.mark.parametrize(("safety", "always", "field"), [(0.0, 2, "safety"), (1.0, -1, "always_admitted")])
def test_a_wrong_policy_is_named(safety: float, always: int, field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        AdmissionPolicy(safety, always)


def test_a_rejection_says_when_to_come_back() -> None:
    load = replace(IDLE, places=1, running=(Work(0, 40),), ahead=(Work(32, 40),) * 3)
    # it starts after 20 + 3 * 20.5 steps of 24 ms and 96 prompt rows of 2 ms: 2.148 s; first rewrite 0.316 s later
    verdict = decide(NEW, load, POLICY, now=10.0, deadline=11.0)
    assert isinstance(verdict, Reject)
    assert verdict.retry_after_s == pytest.approx(1.464)
    # nothing to wait for: even alone it would be late, and after the drain it is as early as it can be
    hopeless = decide(NEW, load, POLICY, now=10.0, deadline=10.01)
    assert isinstance(hopeless, Reject)
    assert hopeless.retry_after_s == pytest.approx(drain_s(load)) == pytest.approx(2.148)
    soon = decide(NEW, IDLE, POLICY, now=0.0, deadline=0.3159)
    assert isinstance(soon, Reject)
    assert soon.retry_after_s == pytest.approx(0.024), "one step at least"


def test_a_full_queue_says_when_the_next_request_starts() -> None:
    assert next_start_s(replace(IDLE, places=2, running=(Work(0, 10), Work(16, 30)))) == pytest.approx(0.192)
    assert next_start_s(replace(IDLE, places=2, running=(Work(0, 10),))) == pytest.approx(0.024)


_work = st.builds(Work, prompt_rows=st.integers(0, 500), output_tokens=st.floats(0, 200))
_works = st.lists(_work, max_size=8).map(tuple)
_expected = st.builds(
    Expected,
    output_tokens=st.floats(1, 200),
    tokens_per_step=st.floats(1, 10),
    rows_per_step=st.floats(1, 12),
    first_rewrite_share=st.floats(0, 1),
)
_curves = st.tuples(st.floats(0.1, 50), st.floats(0, 5)).map(
    lambda costs: CostCurve((CostPoint(2, costs[0]), CostPoint(64, costs[0] + 62 * costs[1])))
)
_loads = st.builds(
    Load,
    running=_works,
    ahead=_works,
    places=st.integers(1, 8),
    max_step_rows=st.integers(8, 128),
    expected=_expected,
    curve=_curves,
    slowdown=st.floats(0.25, 8),
)


@given(_loads, _work, _work, st.integers(0, 8), st.booleans())
def test_more_load_makes_nothing_earlier(load: Load, new: Work, more: Work, where: int, waiting: bool) -> None:
    if waiting:
        heavier = replace(load, ahead=(*load.ahead[:where], more, *load.ahead[where:]))
    else:
        assume(len(load.running) < load.places)
        heavier = replace(load, running=(*load.running, more))
    _assert_no_earlier(estimate_times(new, load), estimate_times(new, heavier))
    assert drain_s(heavier) >= drain_s(load) - 1e-9


@given(_loads, _work, st.integers(0, 7), st.integers(0, 300), st.floats(0, 100))
def test_longer_requests_ahead_make_nothing_earlier(
    load: Load, new: Work, which: int, more_rows: int, more_tokens: float
) -> None:
    assume(which < len(load.running))
    grown = Work(load.running[which].prompt_rows + more_rows, load.running[which].output_tokens + more_tokens)
    heavier = replace(load, running=(*load.running[:which], grown, *load.running[which + 1 :]))
    _assert_no_earlier(estimate_times(new, load), estimate_times(new, heavier))


@given(_loads, _work, st.floats(1, 4), st.integers(0, 4), st.floats(-1, 100), st.floats(0, 100))
def test_a_later_deadline_never_turns_admission_into_rejection(
    load: Load, new: Work, safety: float, always: int, deadline: float, later: float
) -> None:
    policy = AdmissionPolicy(safety, always)
    if isinstance(decide(new, load, policy, now=0.0, deadline=deadline), Admit):
        assert isinstance(decide(new, load, policy, now=0.0, deadline=deadline + later), Admit)


@given(_loads, _work, st.floats(-1, 10))
def test_estimates_are_in_order_and_retries_in_the_future(load: Load, new: Work, deadline: float) -> None:
    verdict = decide(new, load, POLICY, now=0.0, deadline=deadline)
    estimate = verdict.estimate
    assert 0 <= estimate.start_s <= estimate.first_rewrite_s + 1e-9
    assert estimate.first_rewrite_s <= estimate.completion_s + 1e-9
    if isinstance(verdict, Reject):
        assert verdict.retry_after_s > 0


def test_what_is_left_of_an_output_shrinks_but_not_to_nothing() -> None:
    assert [EXPECTED.output_left(g, 192) for g in (0, 25, 39, 100, 185, 192)] == [40, 15, 10, 10, 7, 0]


def test_learning_starts_from_the_prior_and_follows_what_happens() -> None:
    learner = ExpectationLearner()
    assert astuple(learner.expected) == pytest.approx((40.0, 1.5, 2.0, 0.7))
    for _ in range(500):
        learner.step(requests=4, tokens=12, rows=20)
        learner.first_rewrite(tokens=12)
        learner.finished(output_tokens=30)
    assert astuple(learner.expected) == pytest.approx((30, 3.0, 5.0, 0.4), rel=1e-3)


def test_one_long_output_moves_the_mean_a_little() -> None:
    learner = ExpectationLearner()
    learner.finished(output_tokens=140)
    assert learner.expected.output_tokens == 45.0


def test_the_first_rewrite_is_never_expected_after_the_end() -> None:
    learner = ExpectationLearner()
    for _ in range(100):
        learner.first_rewrite(tokens=100)
    assert learner.expected.first_rewrite_share == 1.0


def test_a_step_counts_for_as_much_as_requests_were_in_it() -> None:
    learner = ExpectationLearner()
    for _ in range(1000):
        learner.step(requests=1, tokens=4, rows=8)
        learner.step(requests=9, tokens=18, rows=18)
    assert learner.expected.tokens_per_step == pytest.approx(22 / 10, rel=0.02)


def _assert_no_earlier(before: Estimate, after: Estimate) -> None:
    for name in ("start_s", "first_rewrite_s", "completion_s"):
        assert getattr(after, name) >= getattr(before, name) * (1 - 1e-9) - 1e-9, name
