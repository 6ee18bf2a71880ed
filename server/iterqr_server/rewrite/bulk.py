"""Bulk generation: a window of items in flight over a stream, and queries that wait instead of failing.

What bounds memory is `answer_through_window`: an item is read only when there is room for it, and its room is free
again only when its answer has been taken. What protects interactive calls is `BulkRewriter`: all streams together have
so many generations at once, and one that the engine's full queue refuses comes back later.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from iterqr_server.engine.errors import EngineOverloadedError
from iterqr_server.rewrite.service import RewriteCall, RewriteResult, RewriteService
from iterqr_server.telemetry.metrics import Metrics

ItemT = TypeVar("ItemT")
AnswerT = TypeVar("AnswerT")


async def answer_through_window(
    items: AsyncIterator[ItemT],
    answer: Callable[[ItemT], Awaitable[AnswerT]],
    send: Callable[[AnswerT], Awaitable[None]],
    max_in_flight: int,
) -> None:
    """Sends the answer of every item, in order of completion; returns when `items` has ended and all are sent.

    `answer` runs for up to `max_in_flight` items at a time and is started in the order of the items; `send` runs for
    one at a time. At most `max_in_flight` items are held, answers not yet sent included.

    Raises the first exception of `items`, `answer` or `send`, after cancelling what was in flight. Cancelling it does
    the same.
    """
    room = asyncio.Semaphore(max_in_flight)
    sending = asyncio.Lock()

    async def serve(item: ItemT) -> None:
        answered = await answer(item)
        async with sending:
            await send(answered)
        room.release()

    try:
        async with asyncio.TaskGroup() as tasks:
            await room.acquire()
            async for item in items:
                tasks.create_task(serve(item))
                await room.acquire()
    except ExceptionGroup as group:
        raise group.exceptions[0] from group


class BulkRewriter:
    """Rewrites for bulk streams, `max_at_once` queries at a time over all of them."""

    def __init__(self, service: RewriteService, metrics: Metrics, max_at_once: int) -> None:
        self._service = service
        self._metrics = metrics
        self._places = asyncio.Semaphore(max_at_once)

    async def rewrite(self, call: RewriteCall) -> RewriteResult:
        """Returns the rewrites of one query. While the engine has too much to do it waits and asks again.

        Raises what `RewriteService.rewrite` raises, apart from EngineOverloadedError.
        """
        async with self._places:
            while True:
                try:
                    return await self._service.rewrite(call)
                except EngineOverloadedError as overloaded:
                    self._metrics.bulk_retries.inc()
                    await asyncio.sleep(overloaded.retry_after_s)
