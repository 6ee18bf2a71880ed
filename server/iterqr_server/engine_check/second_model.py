"""What a swap needs of an engine: a second model in the same process, beside the first or once that is shut down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from iterqr_proto.rewrite_format import Prompt

from iterqr_server.checkpoints.memory import Room
from iterqr_server.checkpoints.swap_rules import SwapRules
from iterqr_server.engine.interface import GenerationEngine
from iterqr_server.engine_check.report import CheckLine


@dataclass(frozen=True, slots=True)
class SecondModel:
    """How to have one more of the same weights. `open_engine` returns it not started; `room` measures; both block."""

    open_engine: Callable[[], GenerationEngine]
    room: Callable[[], Room]
    rules: SwapRules


async def check_swap(
    engine: GenerationEngine,
    second: SecondModel,
    warm_up: Prompt,
    ask: Callable[[GenerationEngine], Awaitable[str]],
) -> CheckLine:
    """Loads a second model as a swap would, beside `engine` or after closing it, and has both answer alike.

    Where the rules would have it refused, nothing is loaded, and that is off.

    Raises:
        EngineError: the second one does not load or answer.
        ModelError: the weights are not those of a model that the backend runs.
    """
    expected = await ask(engine)
    before = await asyncio.to_thread(second.room)
    lack = second.rules.why_not_beside(before)
    if lack and not second.rules.reload:
        return CheckLine("swap", "not loaded", f"every checkpoint would be refused: {lack}")
    if lack:
        await engine.close()
    loop = asyncio.get_running_loop()
    began = loop.time()
    other = await asyncio.to_thread(second.open_engine)
    try:
        await other.start(warm_up)
        seconds = loop.time() - began
        after = await asyncio.to_thread(second.room)
        texts = [await ask(other)] if lack else list(await asyncio.gather(ask(engine), ask(other)))
    finally:
        await other.close()
    fault = "" if texts == [expected] * len(texts) else "the same weights gave another text in a second model"
    if lack:
        return CheckLine("swap", f"loaded in {seconds:.1f} s after the first was shut down: {lack}", fault)
    return CheckLine("swap", f"loaded in {seconds:.1f} s beside the first{_taken(before, after)}", fault)


def _taken(before: Room, after: Room) -> str:
    if before.available_bytes is None or after.available_bytes is None:
        return ""
    taken = before.available_bytes - after.available_bytes
    return f"; took {taken >> 20} MB of {before.name}, at least {before.needed_bytes >> 20} MB by arithmetic"
