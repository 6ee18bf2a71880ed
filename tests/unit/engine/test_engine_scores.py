"""Scores of the engine: the predictable model gives the scripted token the logit 20 and every other one 0."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from iterqr_server.engine.errors import EngineClosedError, EngineFatalError, PromptTooLongError, QueueFullError
from iterqr_server.engine.executor import PackedStep
from iterqr_server.engine.interface import ScoreRequest
from support.predictable import LOGPROB, last_query
from support.running_engine import (
    SMALL,
    busy_blocks,
    gated_engine,
    prompt,
    prompt_ids,
    request,
    running_engine,
    text_of,
)

UNLIKELY = LOGPROB - 20


def verdict(text: str) -> str:
    """Says yes to queries with an x."""
    return "yes" if "x" in last_query(text) else "no"


def scores(name: str, *queries: str, answers: tuple[str, ...] = ("y", "n")) -> ScoreRequest:
    return ScoreRequest(name, tuple(prompt(query) for query in queries), answers)


def assert_scores(found: tuple[tuple[float, ...], ...], expected: list[tuple[float, ...]]) -> None:
    np.testing.assert_allclose(found, expected, atol=1e-5)


async def test_each_prompt_gets_each_answers_log_probability() -> None:
    async with running_engine(verdict) as engine:
        found = await engine.score(scores("s", "ax", "b", "xx", answers=("y", "n", "?")))
    assert_scores(found, [(LOGPROB, UNLIKELY, UNLIKELY), (UNLIKELY, LOGPROB, UNLIKELY), (LOGPROB, UNLIKELY, UNLIKELY)])


async def test_the_beginning_that_prompts_share_is_computed_once_in_one_step() -> None:
    steps: list[PackedStep] = []
    async with running_engine(verdict, replace(SMALL, max_step_rows=1000), before_step=steps.append) as engine:
        del steps[:]
        rows = engine.stats().rows_total
        await engine.score(scores("s", "ax", "b", "c", "dx"))
        computed = engine.stats().rows_total - rows
    kept_since_warm_up = 24
    own = sum(len(prompt_ids(query)) - kept_since_warm_up for query in ("ax", "b", "c", "dx"))
    assert [step.logit_rows.size for step in steps] == [4]
    assert computed == own


async def test_a_long_shared_query_is_computed_once() -> None:
    query = "soup " * 20
    async with running_engine(verdict) as engine:
        rows = engine.stats().rows_total
        await engine.score(scores("s", *(query + end for end in "abcx")))
        computed = engine.stats().rows_total - rows
    shared = len(prompt_ids(query)[: prompt_ids(query).index(257, 20)]) // 8 * 8
    assert computed == shared - 24 + 4 * (len(prompt_ids(query + "a")) - shared)


async def test_more_prompts_than_may_run_wait_their_turn() -> None:
    async with running_engine(verdict, replace(SMALL, max_running=2, max_waiting=8)) as engine:
        found = await engine.score(scores("s", *("x" * (i % 2) + "q" for i in range(10)), answers=("y",)))
        assert_scores(found, [(UNLIKELY,), (LOGPROB,)] * 5)
        with pytest.raises(QueueFullError):
            await engine.score(scores("s", *("q" * 11)))
        assert busy_blocks(engine) == 0


async def test_scores_and_generations_run_together() -> None:
    async with running_engine(verdict, replace(SMALL, max_draft_rows=4)) as engine:
        found, text, other = await asyncio.gather(
            engine.score(scores("a", "x", "b")), text_of(engine, request("g", "x")), text_of(engine, request("h", "b"))
        )
    assert_scores(found, [(LOGPROB, UNLIKELY), (UNLIKELY, LOGPROB)])
    assert (text, other) == ("yes", "no")


async def test_no_prompts_have_no_scores() -> None:
    async with running_engine(verdict) as engine:
        assert await engine.score(scores("s")) == ()


async def test_cancelling_frees_everything_and_the_engine_goes_on() -> None:
    async with gated_engine(replace(SMALL, max_running=2), verdict) as (engine, gate):
        scoring = asyncio.create_task(engine.score(scores("s", "x", "a", "b", "c")))
        await gate.arrived()
        assert (engine.stats().running, engine.stats().waiting) == (2, 2)
        scoring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await scoring
        assert (engine.stats().running, engine.stats().waiting, busy_blocks(engine)) == (0, 0, 0)
        again = asyncio.create_task(engine.score(scores("s", "x", answers=("y",))))
        await asyncio.sleep(0)
        gate.open()
        assert_scores(await again, [(LOGPROB,)])


async def test_cancelling_when_the_step_has_just_ended_does_not_stop_the_engine() -> None:
    async with gated_engine(script=verdict) as (engine, gate):
        scoring = asyncio.create_task(engine.score(scores("s", "x", "a")))
        await gate.arrived()
        gate.open()
        engine._thread.submit(int).result()  # the step is over; the event loop learns of both next
        scoring.cancel()
        with suppress(asyncio.CancelledError):
            await scoring
        assert_scores(await engine.score(scores("s", "x", answers=("y",))), [(LOGPROB,)])


async def test_a_later_request_of_the_same_name_is_spared() -> None:
    async with gated_engine(script=verdict) as (engine, gate):
        first = asyncio.create_task(engine.score(scores("s", "x")))
        await gate.arrived()
        gate.open()
        while engine.stats().running:  # noqa: ASYNC110
            await asyncio.sleep(0.0002)
        assert not first.done(), "the name is free before the first caller knows"
        second = asyncio.create_task(engine.score(scores("s", "x")))
        assert await first == await second


async def test_closing_the_engine_ends_scores_with_an_error() -> None:
    async with gated_engine(replace(SMALL, max_running=1), verdict) as (engine, gate):
        scoring = asyncio.create_task(engine.score(scores("s", "x", "y")))
        await gate.arrived()
        closing = asyncio.create_task(engine.close())
        await asyncio.sleep(0)
        gate.open()
        await closing
        with pytest.raises(EngineClosedError, match="closed"):
            await scoring


async def test_a_failing_model_fails_scores() -> None:
    broken = False

    def before_step(_step: PackedStep) -> None:
        if broken:
            raise RuntimeError("out of order")

    async with running_engine(verdict, before_step=before_step) as engine:
        broken = True
        with pytest.raises(EngineFatalError, match="out of order"):
            await engine.score(scores("s", "x", "y"))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (scores("s", "x", answers=("yes",)), "'yes' is 3 tokens, must be one"),
        (scores("s", "x", answers=("",)), "'' is 0 tokens"),
        (scores("s", "x", answers=()), "answers: must not be empty"),
    ],
)
async def test_wrong_answers_are_named(asked: ScoreRequest, message: str) -> None:
    async with running_engine(verdict) as engine:
        with pytest.raises(ValueError, match=message):
            await engine.score(asked)


async def test_a_name_in_use_is_refused() -> None:
    async with gated_engine(script=verdict) as (engine, gate):
        first = asyncio.create_task(engine.score(scores("s", "x")))
        await gate.arrived()
        with pytest.raises(ValueError, match="'s' is in use"):
            await engine.score(scores("s", "x"))
        gate.open()
        assert len(await first) == 1


async def test_one_prompt_that_can_never_fit_refuses_all() -> None:
    async with running_engine(verdict, replace(SMALL, arena_positions=256)) as engine:
        with pytest.raises(PromptTooLongError):
            await engine.score(scores("s", "x", "x" * 300))
        assert busy_blocks(engine) == 0
