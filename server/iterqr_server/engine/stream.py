"""The chunks of one request on their way from the engine to its caller."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from iterqr_server.engine.interface import GenerationChunk


class GenerationStream(AsyncIterator[GenerationChunk]):
    """What `submit` returns. Lives on the event loop's thread; holds at most one chunk a generated token."""

    def __init__(self, on_close: Callable[[], None]) -> None:
        self._on_close: Callable[[], None] | None = on_close
        self._chunks: deque[GenerationChunk] = deque()
        self._error: Exception | None = None
        self._ended = False
        self._changed = asyncio.Event()

    def put(self, chunk: GenerationChunk) -> None:
        """Adds the next chunk; the one with a finish reason is the last. Ignored after the end."""
        if not self._ended:
            self._chunks.append(chunk)
            self._end(chunk.finish_reason is not None)

    def fail(self, error: Exception) -> None:
        """Ends the stream with an error, raised after the chunks that came before it. Ignored after the end."""
        if not self._ended:
            self._error = error
            self._end(True)

    async def __anext__(self) -> GenerationChunk:
        while not self._chunks and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        if self._chunks:
            return self._chunks.popleft()
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Aborts the request if it still runs."""
        if self._on_close:
            self._on_close()
        self._chunks.clear()

    def _end(self, has_ended: bool) -> None:
        if has_ended:
            self._ended = True
            self._on_close = None  # it holds the engine, and through it the model
        self._changed.set()
