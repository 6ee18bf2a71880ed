"""The engine over the predictable executor, which fails a step whose rows see anything but their own request."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import aclosing
from dataclasses import replace

import pytest
from iterqr_proto.rewrite_format import Prompt
from iterqr_server.engine.errors import (
    EngineClosedError,
    EngineFatalError,
    PromptTooLongError,
    QueueFullError,
)
from iterqr_server.engine.executor import PackedStep
from iterqr_server.engine.interface import FinishReason, GenerationRequest
from iterqr_server.engine.settings import EngineSettings
from support.predictable import LOGPROB, PredictableExecutor, StepGate, last_query, predictable_engine
from support.running_engine import (
    SMALL,
    busy_blocks,
    chunks_of,
    echo,
    gated_engine,
    prompt,
    prompt_ids,
    request,
    running_engine,
    text_of,
)


async def test_a_generation_ends_with_the_models_turn() -> None:
    async with running_engine() as engine:
        chunks = await chunks_of(engine, request("a", "soup"))
    assert "".join(chunk.text for chunk in chunks) == "<soup>"
    assert [chunk.finish_reason for chunk in chunks] == [None] * 6 + [FinishReason.STOP]
    assert [chunk.token_ids for chunk in chunks] == [(byte,) for byte in b"<soup>"] + [()]
    assert all(chunk.logprobs == pytest.approx((LOGPROB,)) for chunk in chunks[:-1])
    whole = len(prompt("soup").text) - len("<|im_start|>") * 3 - len("<|im_end|>") * 2 + 5
    assert {chunk.prompt_tokens for chunk in chunks[:-1]} == {whole}


async def test_the_limit_ends_a_generation_with_its_last_token() -> None:
    async with running_engine() as engine:
        chunks = await chunks_of(engine, request("a", "soup", max_new_tokens=3))
    assert [(chunk.text, chunk.finish_reason) for chunk in chunks] == [
        ("<", None),
        ("s", None),
        ("o", FinishReason.LENGTH),
    ]


async def test_characters_of_several_bytes_come_whole() -> None:
    async with running_engine() as engine:
        texts = [chunk.text for chunk in await chunks_of(engine, request("a", "é🍜"))]
        cut = await chunks_of(engine, request("b", "🍜", max_new_tokens=3))
    assert texts == ["<", "", "é", "", "", "", "🍜", ">", ""]
    assert "".join(chunk.text for chunk in cut) == "<\ufffd"


async def test_control_tokens_in_data_do_not_end_the_prompt() -> None:
    async with running_engine() as engine:
        assert await text_of(engine, request("a", "x<|im_end|>y")) == "<x<|im_end|>y>"


SYSTEM_TURN = 8  # positions in whole blocks of 8 before the name of the system
SHARED = 24  # positions in whole blocks of 8 before the first token of the query


async def test_what_prompts_begin_with_alike_is_computed_once() -> None:
    async with running_engine() as engine:
        before = engine.stats()
        for query in "abcdefghij":
            await text_of(engine, request(query, query))
        after = engine.stats()
        again = await text_of(engine, request("again", "a"))
        whole = engine.stats()
    assert again == "<a>"
    assert before.prefix_tokens_reused_total == 0
    assert after.prompt_tokens_total - before.prompt_tokens_total == 10 * len(prompt_ids("a"))
    assert after.prefix_tokens_reused_total == 10 * SHARED
    assert whole.prefix_tokens_reused_total - after.prefix_tokens_reused_total == (len(prompt_ids("a")) - 1) // 8 * 8


async def test_shared_rows_enter_the_model_once() -> None:
    steps: list[PackedStep] = []
    async with running_engine(before_step=steps.append) as engine:
        warm_up_rows = sum(step.token_ids.size for step in steps)
        await text_of(engine, request("a", "tea", max_new_tokens=1))
        rows = sum(step.token_ids.size for step in steps) - warm_up_rows
    own = len(prompt_ids("tea")) - SHARED
    assert rows == own + own % 2


async def test_requests_that_start_together_compute_what_they_share_once() -> None:
    async with gated_engine() as (engine, gate):
        rows = engine.stats().rows_total
        tasks = [asyncio.create_task(text_of(engine, request(str(i), f"q{i}", 1, system="new"))) for i in range(3)]
        await gate.arrived()
        gate.open()
        assert await asyncio.gather(*tasks) == ["<"] * 3
        prompts = [prompt_ids(f"q{i}", "new") for i in range(3)]
        shared = prompts[0].index(ord("0")) // 8 * 8
        assert engine.stats().rows_total - rows == sum(map(len, prompts)) - 2 * shared - SYSTEM_TURN


async def test_requests_run_together() -> None:
    steps: list[PackedStep] = []
    async with running_engine(before_step=steps.append) as engine:
        del steps[:]
        await asyncio.gather(*(text_of(engine, request(str(i))) for i in range(4)))
    assert max(step.logit_rows.size for step in steps) == 4
    assert len(steps) < 2 * len("<soup>") + 4


async def test_a_long_prompt_does_not_stop_others() -> None:
    async with gated_engine(replace(SMALL, max_step_rows=16)) as both:
        engine, gate = both
        short = engine.submit(request("short", "s"))
        gate.let(2)  # its prompt, 21 rows, and its first token
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
    async with gated_engine() as (engine, gate):
        stream = engine.submit(request("a"))
        gate.let(1)
        assert (await anext(stream)).text == "<"
        await gate.arrived()  # it is in the step that stands before the gate
        engine.abort("a")
        assert busy_blocks(engine) == 0
        assert [chunk.finish_reason async for chunk in stream] == [FinishReason.ABORTED]
        other = asyncio.create_task(text_of(engine, request("b", "tea")))
        await asyncio.sleep(0)
        gate.open()
        assert await other == "<tea>"


async def test_an_aborted_requests_name_can_be_used_again_at_once() -> None:
    async with gated_engine(script=last_query) as (engine, gate):
        first = engine.submit(request("a", "one"))
        await gate.arrived()
        engine.abort("a")
        second = asyncio.create_task(text_of(engine, request("a", "two")))
        await asyncio.sleep(0)
        gate.open()
        assert await second == "two"
        assert [chunk.text async for chunk in first] == [""]


async def test_closing_a_stream_spares_a_later_request_of_the_same_name() -> None:
    async with gated_engine(script=last_query) as (engine, gate):
        first = engine.submit(request("a", "one"))
        engine.abort("a")
        second = asyncio.create_task(text_of(engine, request("a", "two")))
        await gate.arrived()
        await first.aclose()
        gate.open()
        assert await second == "two"


async def test_closing_a_stream_aborts_its_request() -> None:
    async with running_engine() as engine:
        async with aclosing(engine.submit(request("never iterated"))):
            pass
        async with aclosing(engine.submit(request("iterated"))) as stream:
            await anext(stream)
        assert busy_blocks(engine) == 0
        assert engine.stats().running == 0
        engine.abort("unknown")


async def test_room_that_an_abort_made_counts_at_once() -> None:
    limits = EngineSettings(max_running=2, max_waiting=1, arena_positions=4096, block_positions=8)
    async with gated_engine(limits) as (engine, gate):
        tasks = [asyncio.create_task(text_of(engine, request(str(i), f"q{i}"))) for i in range(3)]
        await gate.arrived()
        engine.abort("0")
        tasks.append(asyncio.create_task(text_of(engine, request("3", "q3"))))
        await asyncio.sleep(0)
        gate.open()
        assert await asyncio.gather(*tasks) == ["", "<q1>", "<q2>", "<q3>"]


async def test_a_full_queue_refuses_and_recovers() -> None:
    limits = EngineSettings(max_running=2, max_waiting=1, arena_positions=4096, block_positions=8)
    async with gated_engine(limits) as (engine, gate):
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
    async with running_engine(limits=limits) as engine:
        with pytest.raises(PromptTooLongError, match="the engine holds 256"):
            engine.submit(request("a", "x" * 300))
        with pytest.raises(PromptTooLongError):
            engine.submit(request("a", "x", max_new_tokens=300))
        assert await text_of(engine, request("a")) == "<soup>"
    async with running_engine(max_positions=80) as engine:
        with pytest.raises(PromptTooLongError, match="the engine holds 80"):
            engine.submit(request("a", max_new_tokens=60))


async def test_requests_wait_for_room_in_the_arena() -> None:
    limits = EngineSettings(max_running=8, arena_positions=256, block_positions=8)
    async with running_engine(limits=limits) as engine:
        texts = await asyncio.gather(*(text_of(engine, request(str(i), f"q{i}")) for i in range(8)))
        assert texts == [f"<q{i}>" for i in range(8)]


async def test_kept_prompts_make_way() -> None:
    limits = EngineSettings(max_running=2, arena_positions=256, block_positions=8)
    async with running_engine(limits=limits) as engine:
        for i in range(6):
            system = f"{i}" * 40
            assert await text_of(engine, request("a", f"q{i}", max_new_tokens=8, system=system)) == f"<q{i}>"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (GenerationRequest("a", Prompt((), ()), 5), "prompt: must not be empty"),
        (request("a", max_new_tokens=0), "max_new_tokens: must be at least 1, got 0"),
    ],
)
async def test_a_wrong_request_is_named(asked: GenerationRequest, message: str) -> None:
    async with running_engine() as engine:
        with pytest.raises(ValueError, match=message):
            engine.submit(asked)


async def test_a_name_in_use_is_refused() -> None:
    async with gated_engine() as (engine, _):
        engine.submit(request("a"))
        with pytest.raises(ValueError, match="'a' is in use"):
            engine.submit(request("a"))


async def test_a_prompt_may_be_all_prefix_or_all_suffix() -> None:
    whole = prompt("soup")
    async with running_engine() as engine:
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

    async with running_engine(limits=EngineSettings(max_running=2), before_step=before_step) as engine:
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
    async with gated_engine() as (engine, gate):
        task = asyncio.create_task(text_of(engine, request("a")))
        await gate.arrived()  # would hang if the step held the loop
        assert not task.done()
        gate.open()
        assert await task == "<soup>"


async def test_a_closed_engine_leaves_the_memory_without_a_search_for_cycles() -> None:
    """Servers swap engines: a tokenizer of hundreds of megabytes must not wait for the garbage collector."""
    async with running_engine() as engine:
        await chunks_of(engine, request("a", "soup"))
    left = weakref.ref(engine)
    gc.disable()
    try:
        del engine
        await asyncio.sleep(0)
        assert left() is None
    finally:
        gc.enable()
