"""The seam between rewriting and whatever runs the model.

It is request-level, because some engines (TensorRT-LLM) schedule by themselves. Our own scheduler and KV cache
live behind it, for ONNX Runtime.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from iterqr_proto.rewrite_format import Prompt


class FinishReason(enum.Enum):
    """Why a generation ended."""

    STOP = "stop"  # the model ended its turn
    LENGTH = "length"  # max_new_tokens reached
    ABORTED = "aborted"  # abort() was called


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One prompt to continue greedily.

    `request_id` is unique among the engine's live requests. `prompt.prefix` is shared by many requests: an engine
    computes it once and keeps it. `guide` is a regular expression that the output must match as a whole; engines hold
    decoding to it where they can, and an output that `max_new_tokens` cuts short matches only its beginning.
    """

    request_id: str
    prompt: Prompt
    max_new_tokens: int
    tenant: str = ""
    guide: str = ""


@dataclass(frozen=True, slots=True)
class GenerationChunk:
    """New text of a request, in order.

    `text` is what these tokens add; it may be empty while a character's bytes are incomplete. `logprobs` are natural
    logarithms, one a token. The last chunk, and only it, has a `finish_reason`; it may carry no tokens.
    `prompt_tokens` counts the whole prompt, prefix included; chunks with tokens have it.
    """

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason | None = None
    prompt_tokens: int = 0


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Counters since start (`*_total`) and gauges of this moment."""

    running: int
    waiting: int
    kv_positions_used: int
    kv_positions_limit: int
    steps_total: int
    prompt_tokens_total: int
    prefix_tokens_reused_total: int
    generated_tokens_total: int
    step_seconds_total: float


class GenerationEngine(Protocol):
    """Runs many generations at once. All methods are called on the event loop's thread and none blocks it."""

    @property
    def model_id(self) -> str:
        """Identifies the weights: changes whenever outputs may change. Goes into cache keys and replies."""
        ...

    async def start(self, warm_up: Prompt) -> None:
        """Loads the model and runs `warm_up` once, so that its prefix is kept. Called once, before `submit`."""
        ...

    def submit(self, request: GenerationRequest) -> AsyncIterator[GenerationChunk]:
        """Queues a request; its chunks arrive as they are generated, ending with one that has a finish reason.

        Raises at once: PromptTooLongError, EngineOverloadedError, EngineClosedError. While iterating:
        EngineFatalError. The caller must iterate to the end or call `abort`; closing the iterator aborts.
        """
        ...

    def abort(self, request_id: str) -> None:
        """Ends a request and frees what it holds; its stream ends with ABORTED. Unknown ids are ignored."""
        ...

    def stats(self) -> EngineStats:
        """Cheap enough to be read at every metrics scrape."""
        ...

    async def close(self) -> None:
        """Aborts all requests and frees the model. Idempotent."""
        ...
