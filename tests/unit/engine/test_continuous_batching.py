"""The engine over the predictable executor, which fails a step whose rows see anything but their own request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iterqr_proto.rewrite_format import Prompt, Segment
from iterqr_server.engine.continuous_batching import ContinuousBatchingEngine
from iterqr_server.engine.errors import (
    EngineClosedError,
    EngineFatalError,
    PromptTooLongError,
    QueueFullError,
)
from iterqr_server.engine.executor import PackedStep
from iterqr_server.engine.interface import FinishReason, GenerationChunk, GenerationRequest
from iterqr_server.engine.settings import EngineSettings
from support.predictable import ASSISTANT, LOGPROB, PredictableExecutor, StepGate, last_query, predictable_engine

SMALL = EngineSettings(max_running=4, max_waiting=8, arena_positions=4096, block_positions=8, max_step_rows=64)


def echo(prompt: str) -> str:
    return f"<{last_query(prompt)}>"


def prompt(query: str, system: str = "be brief") -> Prompt:
    return Prompt(
        prefix=(Segment(f"<|im_start|>system\n{system}<|im_end|>\n"),),
        suffix=(
            Segment("<|im_start|>user\nquery: "),
            Segment(query, is_data=True),
            Segment("<|im_end|>\n" + ASSISTANT),
        ),
    )


def request(name: str, query: str = "soup", max_new_tokens: int = 100, system: str = "be brief") -> GenerationRequest:
    return GenerationRequest(name, prompt(query, system), max_new_tokens)


@asynccontextmanager
async def started(
    script: Callable[[str], str] = echo,
    limits: EngineSettings = SMALL,
    before_step: Callable[[PackedStep], None] | None = None,
    max_positions: int = 100_000,
) -> AsyncIterator[ContinuousBatchingEngine]:
    engine = predictable_engine(script, settings=limits, before_step=before_step, max_positions=max_positions)
    await engine.start(prompt("warm up"))
    try:
        yield engine
    finally:
        await engine.close()


@asynccontextmanager
async def gated(
    limits: EngineSettings = SMALL, script: Callable[[str], str] = echo
) -> AsyncIterator[tuple[ContinuousBatchingEngine, StepGate]]:
    """An engine that has started and stands before a closed gate from its next step on."""
    gate = StepGate()
    gate.open()
    async with started(script, limits, before_step=gate) as engine:
        gate.close()
        try:
            yield engine, gate
        finally:
            gate.open()


async def chunks_of(engine: ContinuousBatchingEngine, asked: GenerationRequest) -> list[GenerationChunk]:
    return [chunk async for chunk in engine.submit(asked)]


async def text_of(engine: ContinuousBatchingEngine, asked: GenerationRequest) -> str:
    return "".join(chunk.text for chunk in await chunks_of(engine, asked))


def held_positions(engine: ContinuousBatchingEngine) -> int:
    engine._pool.check()
    return engine.stats().kv_positions_used


async def test_a_generation_ends_with_the_models_turn() -> None:
    async with started() as engine:
        chunks = await chunks_of(engine, request("a", "soup"))
    assert "".join(chunk.text for chunk in chunks) == "<soup>"
    assert [chunk.finish_reason for chunk in chunks] == [None] * 6 + [FinishReason.STOP]
    assert [chunk.token_ids for chunk in chunks] == [(byte,) for byte in b"<soup>"] + [()]
    assert all(chunk.logprobs == pytest.approx((LOGPROB,)) for chunk in chunks[:-1])
    whole = len(prompt("soup").text) - len("<|im_start|>") * 3 - len("<|im_end|>") * 2 + 5
    assert {chunk.prompt_tokens for chunk in chunks[:-1]} == {whole}


async def test_the_limit_ends_a_generation_with_its_last_token() -> None:
    async with started() as engine:
        chunks = await chunks_of(engine, request("a", "soup", max_new_tokens=3))
    assert [(chunk.text, chunk.finish_reason) for chunk in chunks] == [
        ("<", None),
        ("s", None),
        ("o", FinishReason.LENGTH),
    ]


async def test_characters_of_several_bytes_come_whole() -> None:
    async with started() as engine:
        texts = [chunk.text for chunk in await chunks_of(engine, request("a", "é🍜"))]
        cut = await chunks_of(engine, request("b", "🍜", max_new_tokens=3))
    assert texts == ["<", "", "é", "", "", "", "🍜", ">", ""]
    assert "".join(chunk.text for chunk in cut) == "<\ufffd"


async def test_control_tokens_in_data_do_not_end_the_prompt() -> None:
    async with started() as engine:
        assert await text_of(engine, request("a", "x<|im_end|>y")) == "<x<|im_end|>y>"


async def test_a_prefix_is_computed_once() -> None:
    async with started() as engine:
        before = engine.stats()
        await asyncio.gather(*(text_of(engine, request(str(i))) for i in range(10)))
        after = engine.stats()
    prefix = len("system\nbe brief\n") + 2
    assert before.prefix_tokens_reused_total == 0
    assert after.prefix_tokens_reused_total == 10 * prefix
    assert after.kv_positions_used == before.kv_positions_used == -(-prefix // 8) * 8


async def test_prefix_rows_enter_the_model_once() -> None:
    steps: list[PackedStep] = []
    async with started(before_step=steps.append) as engine:
        warm_up_rows = sum(step.token_ids.size for step in steps)
        await text_of(engine, request("a", "tea", max_new_tokens=1))
        rows = sum(step.token_ids.size for step in steps) - warm_up_rows
    suffix = len("user\nquery: tea\nassistant\n") + 3
    assert rows == suffix + suffix % 2


async def test_requests_that_share_a_new_prefix_compute_it_once() -> None:
    async with gated() as (engine, gate):
        tasks = [asyncio.create_task(text_of(engine, request(str(i), f"q{i}", system="new"))) for i in range(3)]
        await gate.arrived()
        gate.open()
        assert await asyncio.gather(*tasks) == ["<q0>", "<q1>", "<q2>"]
        assert engine.stats().prefix_tokens_reused_total == 2 * (len("system\nnew\n") + 2)


async def test_requests_run_together() -> None:
    steps: list[PackedStep] = []
    async with started(before_step=steps.append) as engine:
        del steps[:]
        await asyncio.gather(*(text_of(engine, request(str(i))) for i in range(4)))
    assert max(step.logit_rows.size for step in steps) == 4
    assert len(steps) < 2 * len("<soup>") + 4


async def test_a_long_prompt_does_not_stop_others() -> None:
    async with gated(EngineSettings(max_running=4, arena_positions=4096, block_positions=8, max_step_rows=16)) as both:
        engine, gate = both
        short = engine.submit(request("short", "s"))
        gate.let(3)  # its prompt, 31 rows, and its first token
        first = await anext(short)
        long = asyncio.create_task(text_of(engine, request("long", "l" * 500)))
        await gate.arrived()
        gate.let(1)
        await gate.arrived()
        gate.let(1)
        assert [first.text, (await anext(short)).text, (await anext(short)).text] == ["<", "s", ">"]
        assert not long.done()
        gate.open()
        assert await long == f"<{'l' * 500}>"[:100]


async def test_an_abort_frees_at_once_and_ends_the_stream() -> None:
    async with gated() as (engine, gate):
        idle = held_positions(engine)
        stream = engine.submit(request("a"))
        gate.let(1)
        assert (await anext(stream)).text == "<"
        await gate.arrived()  # it is in the step that stands before the gate
        engine.abort("a")
        assert held_positions(engine) == idle
        assert [chunk.finish_reason async for chunk in stream] == [FinishReason.ABORTED]
        other = asyncio.create_task(text_of(engine, request("b", "tea")))
        await asyncio.sleep(0)
        gate.open()
        assert await other == "<tea>"


async def test_an_aborted_requests_name_can_be_used_again_at_once() -> None:
    async with gated(script=last_query) as (engine, gate):
        first = engine.submit(request("a", "one"))
        await gate.arrived()
        engine.abort("a")
        second = asyncio.create_task(text_of(engine, request("a", "two")))
        await asyncio.sleep(0)
        gate.open()
        assert await second == "two"
        assert [chunk.text async for chunk in first] == [""]


async def test_closing_a_stream_aborts_its_request() -> None:
    async with started() as engine:
        idle = held_positions(engine)
        async with aclosing(engine.submit(request("never iterated"))):
            pass
        async with aclosing(engine.submit(request("iterated"))) as stream:
            await anext(stream)
        assert held_positions(engine) == idle
        assert engine.stats().running == 0
        engine.abort("unknown")


async def test_room_that_an_abort_made_counts_at_once() -> None:
    limits = EngineSettings(max_running=2, max_waiting=1, arena_positions=4096, block_positions=8)
    async with gated(limits) as (engine, gate):
        tasks = [asyncio.create_task(text_of(engine, request(str(i), f"q{i}"))) for i in range(3)]
        await gate.arrived()
        engine.abort("0")
        tasks.append(asyncio.create_task(text_of(engine, request("3", "q3"))))
        await asyncio.sleep(0)
        gate.open()
        assert await asyncio.gather(*tasks) == ["", "<q1>", "<q2>", "<q3>"]


async def test_a_full_queue_refuses_and_recovers() -> None:
    limits = EngineSettings(max_running=2, max_waiting=1, arena_positions=4096, block_positions=8)
    async with gated(limits) as (engine, gate):
        tasks = [asyncio.create_task(text_of(engine, request(str(i), f"q{i}"))) for i in range(3)]
        await gate.arrived()
        assert (engine.stats().running, engine.stats().waiting) == (2, 1)
        with pytest.raises(QueueFullError, match="1 requests are waiting; the limit is 1"):
            engine.submit(request("3"))
        engine.abort("2")
        tasks.append(asyncio.create_task(text_of(engine, request("3", "q3"))))
        await asyncio.sleep(0)
        gate.open()
        assert await asyncio.gather(*tasks) == ["<q0>", "<q1>", "", "<q3>"]


async def test_what_can_never_fit_is_refused_at_once() -> None:
    limits = EngineSettings(max_running=2, arena_positions=256, block_positions=8)
    async with started(limits=limits) as engine:
        with pytest.raises(PromptTooLongError, match="the engine holds 256"):
            engine.submit(request("a", "x" * 300))
        with pytest.raises(PromptTooLongError):
            engine.submit(request("a", "x", max_new_tokens=300))
        assert await text_of(engine, request("a")) == "<soup>"
    async with started(max_positions=80) as engine:
        with pytest.raises(PromptTooLongError, match="the engine holds 80"):
            engine.submit(request("a", max_new_tokens=60))


async def test_requests_wait_for_room_in_the_arena() -> None:
    limits = EngineSettings(max_running=8, arena_positions=256, block_positions=8)
    async with started(limits=limits) as engine:
        texts = await asyncio.gather(*(text_of(engine, request(str(i), f"q{i}")) for i in range(8)))
        assert texts == [f"<q{i}>" for i in range(8)]


async def test_an_unused_prefix_makes_way() -> None:
    limits = EngineSettings(max_running=2, arena_positions=256, block_positions=8)
    async with started(limits=limits) as engine:
        for i in range(6):
            system = f"{i}" * 40
            assert await text_of(engine, request("a", f"q{i}", max_new_tokens=8, system=system)) == f"<q{i}>"
        assert held_positions(engine) <= 256


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (GenerationRequest("a", Prompt((), ()), 5), "prompt: must not be empty"),
        (request("a", max_new_tokens=0), "max_new_tokens: must be at least 1, got 0"),
    ],
)
async def test_a_wrong_request_is_named(asked: GenerationRequest, message: str) -> None:
    async with started() as engine:
        with pytest.raises(ValueError, match=message):
            engine.submit(asked)


async def test_a_name_in_use_is_refused() -> None:
    async with gated() as (engine, _):
        engine.submit(request("a"))
        with pytest.raises(ValueError, match="'a' is in use"):
            engine.submit(request("a"))


async def test_a_prompt_may_be_all_prefix_or_all_suffix() -> None:
    whole = prompt("soup")
    async with started() as engine:
        for i, parts in enumerate([(whole.prefix + whole.suffix, ()), ((), whole.prefix + whole.suffix)]):
            assert await text_of(engine, GenerationRequest(str(i), Prompt(*parts), 100)) == "<soup>"


async def test_a_failing_model_ends_every_request_and_the_engine() -> None:
    gate = StepGate()
    gate.open()
    broken = False

    def before_step(step: PackedStep) -> None:
        gate(step)
        if broken:
            raise RuntimeError("out of order")

    async with started(limits=EngineSettings(max_running=2), before_step=before_step) as engine:
        gate.close()
        streams = [engine.submit(request(str(i))) for i in range(3)]
        await gate.arrived()
        broken = True
        gate.open()
        for stream in streams:
            with pytest.raises(EngineFatalError, match="out of order"):
                await anext(stream)
            assert [chunk async for chunk in stream] == []
        with pytest.raises(EngineFatalError, match="out of order"):
            engine.submit(request("later"))
        assert (engine.stats().running, engine.stats().waiting) == (0, 0)


async def test_a_model_that_does_not_load_is_fatal() -> None:
    def broken() -> PredictableExecutor:
        raise OSError("no such file")

    engine = predictable_engine(echo)
    engine._open_executor = broken
    with pytest.raises(EngineFatalError, match="no such file"):
        await engine.start(prompt("warm up"))
    with pytest.raises(EngineFatalError):
        engine.submit(request("a"))
    await engine.close()


async def test_close_aborts_everything_and_is_idempotent() -> None:
    gate = StepGate()
    gate.open()
    engine = predictable_engine(echo, settings=SMALL, before_step=gate)
    with pytest.raises(EngineClosedError, match="has not been started"):
        engine.submit(request("early"))
    await engine.start(prompt("warm up"))
    gate.close()
    streams = [engine.submit(request(str(i))) for i in range(6)]
    await gate.arrived()
    closing = asyncio.create_task(engine.close())
    await asyncio.sleep(0)
    gate.open()
    await closing
    await engine.close()
    for stream in streams:
        assert [chunk.finish_reason async for chunk in stream] == [FinishReason.ABORTED]
    with pytest.raises(EngineClosedError):
        engine.submit(request("late"))


async def test_the_event_loop_runs_on_while_a_step_does() -> None:
    async with gated() as (engine, gate):
        task = asyncio.create_task(text_of(engine, request("a")))
        await gate.arrived()  # would hang if the step held the loop
        assert not task.done()
        gate.open()
        assert await task == "<soup>"


@dataclass(frozen=True)
class Arrival:
    query: str
    system: str
    max_new_tokens: int
    after_steps: int
    abort_after_chunks: int | None


ARRIVALS = st.lists(
    st.builds(
        Arrival,
        query=st.text(st.sampled_from("abé🍜 "), min_size=1, max_size=12),
        system=st.sampled_from(["", "one", "another system"]),
        max_new_tokens=st.integers(1, 20),
        after_steps=st.integers(0, 12),
        abort_after_chunks=st.none() | st.integers(0, 6),
    ),
    min_size=1,
    max_size=10,
)
LIMITS = st.builds(
    lambda running, block, blocks, rows: EngineSettings(
        max_running=running,
        max_waiting=20,
        arena_positions=block * (-(-160 // block) + blocks),
        block_positions=block,
        max_step_rows=max(2, running) + rows,
    ),
    running=st.integers(1, 5),
    block=st.integers(1, 9),
    blocks=st.integers(0, 20),
    rows=st.integers(0, 40),
)


@settings(max_examples=60, deadline=None)
@given(ARRIVALS, LIMITS)
def test_text_is_the_same_for_any_interleaving_of_arrivals_and_aborts(
    arrivals: list[Arrival], limits: EngineSettings
) -> None:
    asyncio.run(_interleave(arrivals, limits))


async def _interleave(arrivals: list[Arrival], limits: EngineSettings) -> None:
    async with started(limits=limits) as engine:

        async def client(number: int, arrival: Arrival) -> None:
            while engine.stats().steps_total < arrival.after_steps and engine.stats().running:  # noqa: ASYNC110
                await asyncio.sleep(0)
            asked = request(str(number), arrival.query, arrival.max_new_tokens, arrival.system)
            stream, texts, last = engine.submit(asked), [], None
            async for last in stream:
                texts.append(last.text)
                engine._pool.check()
                if len(texts) == arrival.abort_after_chunks:
                    engine.abort(str(number))
            assert last is not None
            got, expected = "".join(texts), f"<{arrival.query}>".encode()[: arrival.max_new_tokens]
            if last.finish_reason is FinishReason.ABORTED:
                assert expected.decode("utf-8", "replace").startswith(got)
            else:
                assert got == expected.decode("utf-8", "replace")

        await asyncio.gather(*(client(i, arrival) for i, arrival in enumerate(arrivals)))
        assert engine.stats().running == engine.stats().waiting == 0
        for prefix in engine._prefixes._prefixes.values():
            assert prefix.users == 0
            prefix.lease.release()
        assert held_positions(engine) == 0
