"""What the double's calls return: results of requests, and the stream of statistics."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any


class RequestError(RuntimeError):
    """One request failed."""


@dataclasses.dataclass(frozen=True)
class Logprob:
    """Of one token at one place."""

    logprob: float
    rank: int | None = None


@dataclasses.dataclass(frozen=True)
class Response:
    """What one iteration gave a request."""

    token_ids: tuple[int, ...]
    logprobs: tuple[dict[int, Logprob], ...]
    finish_reason: str | None


@dataclasses.dataclass
class CompletionOutput:
    """All that was generated so far. Detokenizing was turned off, so `text` stays empty."""

    index: int = 0
    text: str = ""
    token_ids: list[int] = dataclasses.field(default_factory=list)
    logprobs: list[dict[int, Logprob]] = dataclasses.field(default_factory=list)
    finish_reason: str | None = None


class RequestOutput:
    """A request's future. Iterating yields this same object at each step."""

    def __init__(self, request_id: int, prompt_token_ids: list[int], ask_abort: Callable[[int], None]) -> None:
        self.request_id = request_id
        self.prompt_token_ids = prompt_token_ids
        self.outputs = [CompletionOutput()]
        self.finished = False
        self.cached_tokens = 0
        self.decoding_iter = 0
        self._ask_abort = ask_abort
        self._aborted = False
        self._responses: asyncio.Queue[Response | Exception] = asyncio.Queue()

    def abort(self) -> None:
        """Fire and forget; a finished request ignores it."""
        self._aborted = True
        self._ask_abort(self.request_id)

    def aborted(self) -> bool:
        """Whether that was asked."""
        return self._aborted

    def tell(self, response: Response | Exception) -> None:
        """Called by the executor."""
        self._responses.put_nowait(response)

    def __aiter__(self) -> RequestOutput:
        return self

    async def __anext__(self) -> RequestOutput:
        if self.finished:
            raise StopAsyncIteration
        response = await self._responses.get()
        if isinstance(response, Exception):
            raise response
        completion = self.outputs[0]
        completion.token_ids += response.token_ids
        completion.logprobs += response.logprobs
        completion.finish_reason = response.finish_reason
        self.finished = response.finish_reason is not None
        return self


class IterationResult:
    """The one stream of statistics. Two readers at a time would steal from each other, so that fails here."""

    def __init__(self) -> None:
        self._told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._timeout: float | None = None
        self._is_read = False
        self._is_done = False
        self.times_opened = 0

    def tell(self, statistics: dict[str, Any]) -> None:
        """Called by the executor after each iteration."""
        self._told.put_nowait(statistics)

    def expect_more(self) -> None:
        """A request was submitted: until then, a stream that has ended stays ended."""
        self._is_done = False

    def opened(self, timeout: float | None) -> IterationResult:
        """The same stream again, with another timeout."""
        self._timeout = timeout
        self.times_opened += 1
        return self

    def __aiter__(self) -> IterationResult:
        return self

    async def __anext__(self) -> dict[str, Any]:
        assert not self._is_read, "the stream of statistics has two readers"
        if self._is_done:
            raise StopAsyncIteration
        self._is_read = True
        try:
            async with asyncio.timeout(self._timeout):
                return await self._told.get()
        except TimeoutError:
            self._is_done = True
            raise StopAsyncIteration from None
        finally:
            self._is_read = False
