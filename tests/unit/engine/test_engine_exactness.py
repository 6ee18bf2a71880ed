"""Whatever else the engine does meanwhile, each request gets exactly the model's answer or its beginning.

The script is the model; a request's neighbours, its drafts, the size of blocks, steps and arena, what was computed
before and what was evicted must not show in its text. Accounting is checked before every step and at every chunk.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from iterqr_server.engine.continuous_batching import ContinuousBatchingEngine
from iterqr_server.engine.cost_curve import CostCurve, CostPoint
from iterqr_server.engine.errors import DeadlineExpiredError, EngineOverloadedError
from iterqr_server.engine.executor import PackedStep
from iterqr_server.engine.interface import FinishReason, GenerationRequest, ScoreRequest
from iterqr_server.engine.settings import EngineSettings
from support.predictable import LOGPROB, last_query, predictable_engine
from support.running_engine import busy_blocks, prompt, text_of

MOST_POSITIONS = 170  # that a request below may need, drafts included
ANSWERS = ("a", "b", " ")  # of scores: what the script's answer may begin with


def answer(query: str) -> str:
    """The query twice, so that answers repeat their prompt and themselves."""
    return f"{query}|{query}>"


def draft(kind: str, query: str) -> str:
    """A text that the answer may or may not repeat."""
    whole = answer(query)
    match kind:
        case "right":
            return whole
        case "late":
            return whole[len(query) // 2 :]
        case "twisted":
            return whole.replace("a", "b", 1) + whole
        case "wrong":
            return "ba" * 8
        case _:
            return ""


@dataclass(frozen=True)
class Generation:
    query: str
    system: str
    max_new_tokens: int
    after_steps: int
    abort_after_chunks: int | None
    close: bool  # the stream instead of aborting by name
    tenant: str
    deadline_in_s: float | None
    drafts: tuple[str, ...]


@dataclass(frozen=True)
class Scoring:
    queries: tuple[str, ...]
    system: str
    after_steps: int
    cancel_after_steps: int | None
    tenant: str
    deadline_in_s: float | None


QUERIES = st.text(st.sampled_from("abé🍜 "), min_size=1, max_size=12)
SYSTEMS = st.sampled_from(["", "one", "another system"])
TENANTS = st.sampled_from(["", "big", "small"])
DEADLINES = st.none() | st.sampled_from([-1.0, 0.002, 0.02, 60.0])
GENERATIONS = st.builds(
    Generation,
    query=QUERIES,
    system=SYSTEMS,
    max_new_tokens=st.integers(1, 40),
    after_steps=st.integers(0, 12),
    abort_after_chunks=st.none() | st.integers(0, 12),
    close=st.booleans(),
    tenant=TENANTS,
    deadline_in_s=DEADLINES,
    drafts=st.lists(st.sampled_from(["right", "late", "twisted", "wrong", "empty"]), max_size=4).map(tuple),
)
SCORINGS = st.builds(
    Scoring,
    queries=st.lists(QUERIES, max_size=5).map(tuple),
    system=SYSTEMS,
    after_steps=st.integers(0, 12),
    cancel_after_steps=st.none() | st.integers(0, 4),
    tenant=TENANTS,
    deadline_in_s=DEADLINES,
)
LIMITS = st.builds(
    lambda running, waiting, block, blocks, rows, drafts: EngineSettings(
        max_running=running,
        max_waiting=waiting,
        arena_positions=block * (-(-MOST_POSITIONS // block) + blocks),
        block_positions=block,
        max_step_rows=max(2, running) + rows,
        max_draft_rows=drafts,
    ),
    running=st.integers(1, 5),
    waiting=st.sampled_from([3, 100]),
    block=st.integers(1, 9),
    blocks=st.integers(0, 30),
    rows=st.integers(0, 40),
    drafts=st.integers(0, 16),
)
CURVES = st.builds(
    lambda first, more: CostCurve((CostPoint(2, first), CostPoint(64, first + more))),
    first=st.floats(0.1, 10),
    more=st.floats(0, 300),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(GENERATIONS | SCORINGS, min_size=1, max_size=10), LIMITS, CURVES)
def test_text_is_the_same_for_any_interleaving(
    asked: list[Generation | Scoring], limits: EngineSettings, curve: CostCurve
) -> None:
    asyncio.run(asyncio.wait_for(_interleave(asked, limits, curve), 60))


async def _interleave(asked: list[Generation | Scoring], limits: EngineSettings, curve: CostCurve) -> None:
    loop = asyncio.get_running_loop()

    async def check() -> None:
        engine._batch.cache.pool.check()

    def before_step(_step: PackedStep) -> None:
        asyncio.run_coroutine_threadsafe(check(), loop).result(30)

    engine = predictable_engine(
        lambda text: answer(last_query(text)), settings=limits, curve=curve, before_step=before_step
    )
    await engine.start(prompt("warm up"))
    try:
        await asyncio.gather(*(_client(engine, str(number), one) for number, one in enumerate(asked)))
        assert engine.stats().running == engine.stats().waiting == busy_blocks(engine) == 0
        assert engine._live == {}
        for one in asked[:3]:  # what was kept is what it stands for
            query = one.query if isinstance(one, Generation) else "".join(one.queries)[:12]
            again = GenerationRequest("again", prompt(query, one.system), 40)
            assert await text_of(engine, again) == answer(query).encode()[:40].decode("utf-8", "replace")
        assert busy_blocks(engine) == 0
    finally:
        await engine.close()


async def _client(engine: ContinuousBatchingEngine, name: str, asked: Generation | Scoring) -> None:
    await _steps(engine, asked.after_steps)
    now = asyncio.get_running_loop().time()
    deadline = None if asked.deadline_in_s is None else now + asked.deadline_in_s
    try:
        if isinstance(asked, Generation):
            await _generate(engine, name, asked, deadline)
        else:
            await _score(engine, name, asked, deadline)
    except EngineOverloadedError as refused:
        event(type(refused).__name__)
    except DeadlineExpiredError:
        event("expired while waiting")
        assert deadline is not None
        assert deadline <= asyncio.get_running_loop().time()


async def _generate(engine: ContinuousBatchingEngine, name: str, asked: Generation, deadline: float | None) -> None:
    stream = engine.submit(
        GenerationRequest(
            name,
            prompt(asked.query, asked.system),
            asked.max_new_tokens,
            tenant=asked.tenant,
            deadline=deadline,
            drafts=tuple(draft(kind, asked.query) for kind in asked.drafts),
        )
    )
    chunks = []
    if asked.abort_after_chunks == 0:
        engine.abort(name)
    async for chunk in stream:
        engine._batch.cache.pool.check()
        chunks.append(chunk)
        if len(chunks) == asked.abort_after_chunks:
            if asked.close:
                await stream.aclose()
            else:
                engine.abort(name)
    token_ids = [token_id for chunk in chunks for token_id in chunk.token_ids]
    logprobs = [logprob for chunk in chunks for logprob in chunk.logprobs]
    assert logprobs == pytest.approx([LOGPROB] * len(token_ids))
    text, ending = "".join(chunk.text for chunk in chunks), chunks[-1].finish_reason if chunks else None
    whole = answer(asked.query).encode()
    expected = whole[: asked.max_new_tokens]
    if ending in (None, FinishReason.ABORTED):
        assert asked.abort_after_chunks is not None
        assert expected.decode("utf-8", "replace").startswith(text)
        assert expected.startswith(bytes(token_ids))
        event("aborted")
        return
    assert text == expected.decode("utf-8", "replace")
    assert bytes(token_ids) == expected
    assert ending is (FinishReason.STOP if len(whole) < asked.max_new_tokens else FinishReason.LENGTH)
    event("whole")


async def _score(engine: ContinuousBatchingEngine, name: str, asked: Scoring, deadline: float | None) -> None:
    prompts = tuple(prompt(query, asked.system) for query in asked.queries)
    task = asyncio.create_task(engine.score(ScoreRequest(name, prompts, ANSWERS, asked.tenant, deadline)))
    if asked.cancel_after_steps is not None:
        await _steps(engine, engine.stats().steps_total + asked.cancel_after_steps)
        task.cancel()
        await asyncio.wait([task])
        if task.cancelled():
            event("cancelled")
            return
    for query, found in zip(asked.queries, await task, strict=True):
        expected = [LOGPROB if answer(query).startswith(first) else LOGPROB - 20 for first in ANSWERS]
        assert list(found) == pytest.approx(expected)


async def _steps(engine: ContinuousBatchingEngine, steps: int) -> None:
    """Returns when the engine has made that many steps or has nothing to do."""
    while engine.stats().steps_total < steps and engine.stats().running:  # noqa: ASYNC110
        await asyncio.sleep(0.0002)  # 0 would hardly ever leave the interpreter to the thread that steps
