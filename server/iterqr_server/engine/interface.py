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
    decoding to it where they can, and an output that `max_new_tokens` cuts short matches only its beginning. `distinct`
    is what lines begin with of which none should say or extend another; an engine that decodes by itself sees to it.
    `deadline` is a time of the event loop's clock after which the caller has no use for more output; engines serve the
    earliest first and refuse what cannot be done in time. `drafts` are texts whose passages the output may repeat, best
    first: engines may use them to go faster, never to choose another token.
    """

    request_id: str
    prompt: Prompt
    max_new_tokens: int
    tenant: str = ""
    guide: str = ""
    distinct: str = ""
    deadline: float | None = None
    drafts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """Prompts to be answered with one token each, out of `answers`.

    What the prompts begin with alike is computed once. Each answer must be a single token of the model's vocabulary.
    Engines that must hold the output to the answers give probabilities under that condition: what is the same for all
    answers of a prompt may be missing from the logarithms, so compare them with each other only.
    """

    request_id: str
    prompts: tuple[Prompt, ...]
    answers: tuple[str, ...]
    tenant: str = ""
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class GenerationChunk:
    """New text of a request, in order.

    `text` is what these tokens add; it may be empty while a character's bytes are incomplete. `logprobs` are natural
    logarithms, one a token: of the model alone where the engine knows them, else under the guide. The last chunk, and
    only it, has a `finish_reason`; it may carry no tokens. `prompt_tokens` counts the whole prompt, prefix included;
    chunks with tokens have it.
    """

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason | None = None
    prompt_tokens: int = 0


@dataclass(frozen=True, slots=True)
class DraftSourceStats:
    """Guesses of one kind since start: how many were verified, and how many of those came true."""

    source: str
    proposed: int
    accepted: int


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Counters since start (`*_total`) and gauges of this moment.

    Rows are tokens computed, `draft_rows_total` of them guesses. A step's seconds are those of planning it, of the
    model, of reading its logits, and of handing out what is new.
    """

    running: int
    waiting: int
    kv_positions_used: int
    kv_positions_limit: int
    steps_total: int
    prompt_tokens_total: int
    prefix_tokens_reused_total: int
    generated_tokens_total: int
    step_seconds_total: float
    rows_total: int = 0
    draft_rows_total: int = 0
    plan_seconds_total: float = 0.0
    model_seconds_total: float = 0.0
    sample_seconds_total: float = 0.0
    drafts: tuple[DraftSourceStats, ...] = ()
    admitted_total: int = 0
    refused_queue_full_total: int = 0
    refused_deadline_total: int = 0
    expired_total: int = 0


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
        DeadlineExpiredError, RequestRefusedError, RequestFailedError, EngineFatalError. The caller must iterate to the
        end or call `abort`; closing the iterator aborts.
        """
        ...

    async def score(self, request: ScoreRequest) -> tuple[tuple[float, ...], ...]:
        """Returns, for each prompt, the natural logarithm of each answer's probability to be the next token.

        Raises what `submit` raises, and ValueError if an answer is not one token. Cancelling it aborts the request.
        """
        ...

    def note_first_result(self, request_id: str, tokens: int) -> float | None:
        """The caller has something usable since the request's token of this number, from 1.

        Engines learn from it when others will. Returns the seconds by which it came later than was estimated at
        admission; None if nothing was estimated, or if the request has left the engine.
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
