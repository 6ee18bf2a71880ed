"""The seam between `RequestLevelEngine` and a library that schedules, batches and caches by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from iterqr_server.engine.interface import DraftSourceStats, FinishReason


@dataclass(frozen=True, slots=True)
class RunnerRequest:
    """One prompt to continue greedily.

    `number` is never used twice. The first `shared` tokens are those of many prompts: they are kept computed before
    all others. Only requests of one `salt` share what was computed. Of each new token's alternatives, the `likeliest`
    most probable come with their probabilities; at least 1.
    """

    number: int
    prompt_ids: tuple[int, ...]
    shared: int
    max_new_tokens: int
    guide: str = ""
    salt: str = ""
    likeliest: int = 1


@dataclass(frozen=True, slots=True)
class RunnerOutput:
    """New tokens of a request, in order; a token that ended the turn may be the last.

    `likeliest` has for each token the natural logarithms of the most probable ones, under the guide. `reused` counts
    the prompt's tokens that had been computed before. The last output, and only it, has a `finish_reason`.
    """

    token_ids: tuple[int, ...]
    likeliest: tuple[Mapping[int, float], ...]
    reused: int = 0
    finish_reason: FinishReason | None = None


@dataclass(frozen=True, slots=True)
class RunnerStats:
    """Counters since start and the memory of this moment, in tokens; zeros until the library told them first."""

    kv_positions_used: int = 0
    kv_positions_limit: int = 0
    steps_total: int = 0
    step_seconds_total: float = 0.0
    drafts: tuple[DraftSourceStats, ...] = ()


class RequestRunner(Protocol):
    """Runs requests side by side, as many as it is given. All methods are called on the event loop's thread."""

    async def open(self) -> None:
        """Loads the model. Called once, before `run`; whatever it raises means that there is no model."""
        ...

    def run(self, request: RunnerRequest) -> AsyncIterator[RunnerOutput]:
        """Runs a request; iterating submits it. It must be iterated to the end, also after `abort`.

        Raises while iterating: RequestRefusedError and RequestFailedError, which concern this request alone; whatever
        else it raises means that the library is broken for good.
        """
        ...

    def abort(self, number: int) -> None:
        """Asks for a request's end, which comes as an output that says ABORTED. Ignored if it does not run."""
        ...

    def stats(self) -> RunnerStats:
        """Cheap; reads what the library told last."""
        ...

    async def close(self) -> None:
        """Frees the model. Idempotent; also after a failed `open`."""
        ...
