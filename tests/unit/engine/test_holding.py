"""What waits while there is no model: bounded, each within its deadline, and told when there is one again."""

from __future__ import annotations

import asyncio

import pytest
from iterqr_server.engine.errors import (
    DeadlineExpiredError,
    EngineClosedError,
    EngineError,
    EngineFatalError,
    QueueFullError,
)
from iterqr_server.engine.holding import HoldingEngine
from iterqr_server.engine.interface import FinishReason, GenerationRequest, ScoreRequest
from support.running_engine import prompt


def request(name: str, within_s: float | None = None) -> GenerationRequest:
    deadline = None if within_s is None else asyncio.get_running_loop().time() + within_s
    return GenerationRequest(name, prompt("soup"), 10, deadline=deadline)


def scores(name: str, prompts: int = 1) -> ScoreRequest:
    return ScoreRequest(name, (prompt("soup"),) * prompts, ("Yes", "No"))


async def test_each_waits_until_its_deadline() -> None:
    engine = HoldingEngine("old", max_waiting=3)
    soon, later, never = (
        engine.submit(request(name, within)) for name, within in (("a", 0.02), ("b", 60), ("c", None))
    )
    with pytest.raises(DeadlineExpiredError):
        await anext(soon)
    assert (engine.stats().waiting, engine.stats().expired_total, engine.stats().admitted_total) == (2, 1, 3)
    engine.release()
    for stream in (later, never):
        with pytest.raises(EngineClosedError):
            await anext(stream)
    assert engine.stats().waiting == 0
    assert engine.model_id == "old"


async def test_no_more_wait_than_may() -> None:
    engine = HoldingEngine("old", max_waiting=2)
    scoring = asyncio.create_task(engine.score(scores("s")))
    await asyncio.sleep(0)
    stream = engine.submit(request("a"))
    with pytest.raises(ValueError, match="'a' is in use"):
        engine.submit(request("a"))
    with pytest.raises(QueueFullError) as refused:
        engine.submit(request("b"))
    assert refused.value.retry_after_s > 0
    assert engine.stats().refused_queue_full_total == 1
    await stream.aclose()
    again = engine.submit(request("b"))
    engine.abort("b")
    engine.abort("unknown")
    assert [chunk.finish_reason async for chunk in again] == [FinishReason.ABORTED]
    scoring.cancel()
    await asyncio.gather(scoring, return_exceptions=True)
    assert engine.stats().waiting == 0


async def test_every_prompt_of_scores_takes_a_place() -> None:
    """They come to the next engine all at once, which has no more places than these."""
    engine = HoldingEngine("old", max_waiting=4)
    scoring = asyncio.create_task(engine.score(scores("s", prompts=3)))
    await asyncio.sleep(0)
    assert (engine.stats().waiting, engine.stats().admitted_total) == (3, 3)
    with pytest.raises(QueueFullError):
        await engine.score(scores("t", prompts=2))
    engine.submit(request("a"))
    with pytest.raises(QueueFullError):
        engine.submit(request("b"))
    engine.release()
    with pytest.raises(EngineClosedError):
        await scoring


@pytest.mark.parametrize(("failed", "error"), [("", EngineClosedError), ("no model came", EngineFatalError)])
async def test_all_are_told_of_the_end(failed: str, error: type[EngineError]) -> None:
    engine = HoldingEngine("old", max_waiting=3)
    stream = engine.submit(request("a", 60))
    scoring = asyncio.create_task(engine.score(scores("s")))
    await asyncio.sleep(0)
    engine.release(failed)
    engine.release()  # the first says why
    await engine.close()
    with pytest.raises(error):
        await anext(stream)
    with pytest.raises(error):
        await scoring
    with pytest.raises(error):
        engine.submit(request("late"))
