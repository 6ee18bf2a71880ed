"""The predictable engine, started, with prompts of the shape that the server sends.

async with running_engine() as engine:
    assert await text_of(engine, request("a", "soup")) == "<soup>"

async with gated_engine() as (engine, gate):      # stands before a closed gate from its next step on
    ...
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from iterqr_proto.rewrite_format import Prompt, Segment
from iterqr_server.engine.continuous_batching import ContinuousBatchingEngine
from iterqr_server.engine.executor import PackedStep
from iterqr_server.engine.interface import GenerationChunk, GenerationRequest
from iterqr_server.engine.settings import EngineSettings
from support.predictable import ASSISTANT, ByteTokenizer, StepGate, last_query, predictable_engine

SMALL = EngineSettings(
    max_running=4, max_waiting=8, arena_positions=4096, block_positions=8, max_step_rows=64, max_draft_rows=0
)


def echo(prompt: str) -> str:
    """A script that answers with the query in angle brackets."""
    return f"<{last_query(prompt)}>"


def prompt(query: str, system: str = "be brief") -> Prompt:
    """A prompt whose system turn is shared and whose last turn is the query."""
    return Prompt(
        prefix=(Segment(f"<|im_start|>system\n{system}<|im_end|>\n"),),
        suffix=(
            Segment("<|im_start|>user\nquery: "),
            Segment(query, is_data=True),
            Segment("<|im_end|>\n" + ASSISTANT),
        ),
    )


def prompt_ids(query: str, system: str = "be brief") -> tuple[int, ...]:
    """The tokens of `prompt`."""
    whole = prompt(query, system)
    return ByteTokenizer().encode([*whole.prefix, *whole.suffix])


def request(name: str, query: str = "soup", max_new_tokens: int = 100, system: str = "be brief") -> GenerationRequest:
    """A request for the answer to `query`."""
    return GenerationRequest(name, prompt(query, system), max_new_tokens)


@asynccontextmanager
async def running_engine(
    script: Callable[[str], str] = echo,
    limits: EngineSettings = SMALL,
    before_step: Callable[[PackedStep], None] | None = None,
    max_positions: int = 100_000,
) -> AsyncIterator[ContinuousBatchingEngine]:
    """A started engine, closed at the end."""
    engine = predictable_engine(script, settings=limits, before_step=before_step, max_positions=max_positions)
    await engine.start(prompt("warm up"))
    try:
        yield engine
    finally:
        await engine.close()


@asynccontextmanager
async def gated_engine(
    limits: EngineSettings = SMALL, script: Callable[[str], str] = echo
) -> AsyncIterator[tuple[ContinuousBatchingEngine, StepGate]]:
    """An engine that has started and stands before a closed gate from its next step on."""
    gate = StepGate()
    gate.open()
    async with running_engine(script, limits, before_step=gate) as engine:
        gate.close()
        try:
            yield engine, gate
        finally:
            gate.open()


async def chunks_of(engine: ContinuousBatchingEngine, asked: GenerationRequest) -> list[GenerationChunk]:
    """All chunks of a request."""
    return [chunk async for chunk in engine.submit(asked)]


async def text_of(engine: ContinuousBatchingEngine, asked: GenerationRequest) -> str:
    """The whole text of a request."""
    return "".join(chunk.text for chunk in await chunks_of(engine, asked))


def busy_blocks(engine: ContinuousBatchingEngine) -> int:
    """Blocks in use or promised; kept ones that nobody uses do not count. Checks the accounting first."""
    pool = engine._batch.cache.pool
    pool.check()
    return pool.total_blocks - pool.available
