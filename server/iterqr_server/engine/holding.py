"""A `GenerationEngine` without a model: what callers wait on while one model is shut down and another is loaded.

Requests wait in a bounded queue, each until its own deadline. When there is a model again, all that still wait end with
`EngineClosedError`, by which their callers know to ask whichever model serves then: its prompts may be other ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from iterqr_proto.rewrite_format import Prompt

from iterqr_server.engine.errors import DeadlineExpiredError, EngineClosedError, EngineFatalError, QueueFullError
from iterqr_server.engine.interface import (
    EngineStats,
    FinishReason,
    GenerationChunk,
    GenerationRequest,
    ScoreRequest,
)
from iterqr_server.engine.stream import GenerationStream

_RETRY_AFTER_S = 1.0
_EXCHANGED = "the model was exchanged for another"


@dataclass(slots=True, eq=False)
class _Held:
    """A waiting request of so many prompts. `end` hands its caller an error, or the end of what was aborted."""

    end: Callable[[Exception | None], None]
    arrived: float
    prompts: int
    expiry: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class _Counters:
    admitted: int = 0
    queue_full: int = 0
    expired: int = 0


class HoldingEngine:
    """See the module. At most `max_waiting` prompts wait; more are refused as by any full engine."""

    def __init__(self, model_id: str, max_waiting: int) -> None:
        self._model_id = model_id
        self._max_waiting = max_waiting
        self._held: dict[str, _Held] = {}
        self._counters = _Counters()
        self._ended: Callable[[], Exception] | None = None

    @property
    def model_id(self) -> str:
        """That of the model which served before."""
        return self._model_id

    async def start(self, warm_up: Prompt) -> None:
        """See `GenerationEngine`. There is nothing to start."""

    def submit(self, request: GenerationRequest) -> GenerationStream:
        """See `GenerationEngine`.

        Raises:
            QueueFullError: as many prompts wait as may; EngineClosedError and EngineFatalError after the end.
            ValueError: `request_id` is in use.
        """
        stream = GenerationStream(on_close=lambda: self.abort(request.request_id))
        aborted = GenerationChunk("", (), (), FinishReason.ABORTED)

        def end(error: Exception | None) -> None:
            stream.put(aborted) if error is None else stream.fail(error)

        self._hold(request.request_id, request.deadline, 1, end)
        return stream

    async def score(self, request: ScoreRequest) -> tuple[tuple[float, ...], ...]:
        """See `GenerationEngine`. It never returns: there is no model to ask."""
        ended: asyncio.Future[tuple[tuple[float, ...], ...]] = asyncio.get_running_loop().create_future()

        def end(error: Exception | None) -> None:
            if not ended.done():
                ended.set_exception(error or EngineClosedError("the request was aborted"))

        self._hold(request.request_id, request.deadline, len(request.prompts), end)
        try:
            return await ended
        finally:
            self._take(request.request_id)

    def note_first_result(self, request_id: str, tokens: int) -> float | None:  # noqa: ARG002 - the interface's
        """See `GenerationEngine`. There are no results."""
        return None

    def abort(self, request_id: str) -> None:
        """See `GenerationEngine`."""
        if held := self._take(request_id):
            held.end(None)

    def stats(self) -> EngineStats:
        """See `GenerationEngine`. All but the queue is zero."""
        return EngineStats(
            running=0,
            waiting=self._waiting(),
            kv_positions_used=0,
            kv_positions_limit=0,
            steps_total=0,
            prompt_tokens_total=0,
            prefix_tokens_reused_total=0,
            generated_tokens_total=0,
            step_seconds_total=0.0,
            admitted_total=self._counters.admitted,
            refused_queue_full_total=self._counters.queue_full,
            expired_total=self._counters.expired,
        )

    def release(self, failed: str = "") -> None:
        """Ends the waiting of all, and of whoever comes later. Idempotent.

        They get EngineClosedError, or EngineFatalError in these words if no model came.
        """
        self._ended = self._ended or (lambda: EngineFatalError(failed) if failed else EngineClosedError(_EXCHANGED))
        for request_id in list(self._held):
            if held := self._take(request_id):
                held.end(self._ended())

    async def close(self) -> None:
        """See `GenerationEngine`."""
        self.release()

    def _waiting(self) -> int:
        return sum(held.prompts for held in self._held.values())

    def _hold(
        self, request_id: str, deadline: float | None, prompts: int, end: Callable[[Exception | None], None]
    ) -> None:
        if self._ended is not None:
            raise self._ended()
        if request_id in self._held:
            raise ValueError(f"request_id: {request_id!r} is in use")
        waiting = self._waiting()
        if waiting + prompts > self._max_waiting:  # the next engine is asked for all of them at once
            self._counters.queue_full += 1
            raise QueueFullError(waiting, self._max_waiting, _RETRY_AFTER_S)
        loop = asyncio.get_running_loop()
        held = _Held(end, loop.time(), prompts)
        if deadline is not None:
            held.expiry = loop.call_at(deadline, self._expire, request_id, held)
        self._held[request_id] = held
        self._counters.admitted += prompts

    def _expire(self, request_id: str, held: _Held) -> None:
        if self._held.get(request_id) is held:
            self._take(request_id)
            self._counters.expired += held.prompts
            held.end(DeadlineExpiredError(asyncio.get_running_loop().time() - held.arrived))

    def _take(self, request_id: str) -> _Held | None:
        held = self._held.pop(request_id, None)
        if held is not None and held.expiry is not None:
            held.expiry.cancel()
        return held
