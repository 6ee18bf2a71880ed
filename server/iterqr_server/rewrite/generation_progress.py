"""What one generation has so far; written by its flight, read by every call that waits for it."""

from __future__ import annotations

from collections import Counter

from iterqr_server.engine.interface import GenerationChunk
from iterqr_server.hints.interface import Hints, HintsOutcome
from iterqr_server.rewrite.output_builder import Output, OutputBuilder
from iterqr_server.rewrite.result_cache import CacheKey
from iterqr_server.rewrite.served_model import ServedModel


class GenerationProgress:
    """Times are seconds of the event loop's clock; durations are given out in microseconds. It runs on `model`."""

    def __init__(self, key: CacheKey, model: ServedModel) -> None:
        self.key = key
        self.model = model
        self.hints = Hints((), HintsOutcome.NONE)
        self.hints_us = 0
        self.first_token_us = 0
        self.prompt_tokens = 0
        self.generated_tokens = 0
        self.first_rewrite_tokens = 0
        self.deadline: float | None = None
        self._builder = OutputBuilder(key.query, key.max_rewrites)
        self._submitted_at: float | None = None
        self._ended_at: float | None = None

    @property
    def output(self) -> Output:
        """The finished lines so far."""
        return self._builder.output

    @property
    def is_full(self) -> bool:
        """Whether generating more is pointless."""
        return self._builder.is_full

    @property
    def rejected(self) -> Counter[str]:
        """Lines that are not served, by reason."""
        return self._builder.rejected

    def generation_us(self, now: float) -> int:
        """Returns the time since submission to the engine, or until the last token used."""
        if self._submitted_at is None:
            return 0
        return _microseconds((self._ended_at or now) - self._submitted_at)

    def read_hints(self, hints: Hints, seconds: float) -> None:
        """The hints are there, or known to be missing."""
        self.hints = hints
        self.hints_us = _microseconds(seconds)

    def wanted_by(self, deadline: float | None) -> None:
        """A call with this deadline waits for the result. The latest counts, until the engine has the request."""
        if self._submitted_at is None and deadline is not None:
            self.deadline = max(deadline, self.deadline or deadline)

    def submitted(self, now: float) -> None:
        """The engine has the request."""
        self._submitted_at = now

    def feed(self, chunk: GenerationChunk, now: float) -> None:
        """The engine generated something."""
        if chunk.token_ids and not self.generated_tokens and self._submitted_at is not None:
            self.first_token_us = _microseconds(now - self._submitted_at)
        self.prompt_tokens = chunk.prompt_tokens or self.prompt_tokens
        self.generated_tokens += len(chunk.token_ids)
        self._builder.feed(chunk)
        if not self.first_rewrite_tokens and self._builder.output.rewrites:
            self.first_rewrite_tokens = self.generated_tokens

    def ended(self, now: float) -> None:
        """Nothing more will come."""
        self._ended_at = now


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)
