"""Adds up what TensorRT-LLM tells of its iterations and of its ended requests.

Keys are those of its C++ statistics as JSON; one that a version lacks leaves its number as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from iterqr_server.engine.interface import DraftSourceStats
from iterqr_server.engine.request_runner import RunnerStats

DRAFT_SOURCE = "ngram"
_PROPOSED, _ACCEPTED = "numDraftTokens", "numAcceptedTokens"


@dataclass(slots=True)
class IterationTotals:
    """Counters since start. `max_draft_len` is the most guesses that one step verifies for one request."""

    max_draft_len: int
    _steps: int = 0
    _seconds: float = 0.0
    _used: int = 0
    _limit: int = 0
    _proposed: int | None = None  # as the library tells; None until it does
    _accepted: int = 0
    _decoded: int = 0
    _decoding_steps: int = 0

    def iteration(self, told: Mapping[str, Any]) -> None:
        """Takes one iteration's statistics."""
        self._steps += 1
        self._seconds += float(told.get("iterLatencyMS", 0.0)) / 1000
        blocks = told.get("kvCacheStats")
        if isinstance(blocks, Mapping):
            size = int(blocks.get("tokensPerBlock", 0))
            self._used = size * int(blocks.get("usedNumBlocks", 0))
            self._limit = size * int(blocks.get("maxNumBlocks", 0))
        # The section's name is not the same in all versions; what is in it is.
        for section in told.values():
            if isinstance(section, Mapping) and _PROPOSED in section and _ACCEPTED in section:
                self._proposed = (self._proposed or 0) + int(section[_PROPOSED])
                self._accepted += int(section[_ACCEPTED])

    def request_ended(self, *, tokens: int, steps: int) -> None:
        """A request ended that got `tokens` in `steps` of decoding."""
        self._decoded += tokens
        self._decoding_steps += steps

    def stats(self) -> RunnerStats:
        """Returns the totals. Where the library tells nothing of guesses, as many as possible count as proposed."""
        drafts: tuple[DraftSourceStats, ...] = ()
        if self.max_draft_len:
            proposed, accepted = self._proposed, self._accepted
            if proposed is None:
                proposed = self._decoding_steps * self.max_draft_len
                accepted = max(0, self._decoded - self._decoding_steps)
            drafts = (DraftSourceStats(DRAFT_SOURCE, proposed, accepted),)
        return RunnerStats(self._used, self._limit, self._steps, self._seconds, drafts)
