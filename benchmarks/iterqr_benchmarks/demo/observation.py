"""What one query showed, searched without and with the channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ORIGINAL = "original"
REWRITE = "rewrite"
FUSED = "fused"


@dataclass(frozen=True, slots=True)
class ChannelTag:
    """One channel that retrieved a hit; `rank` is 1-based within that channel's window."""

    name: str
    rank: int
    score: float
    rewrite_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A hit as a person reads it. `satisfies`: whether it is known to satisfy the query."""

    dish_id: str
    title: str
    merchant: str
    satisfies: bool
    channels: tuple[ChannelTag, ...]


@dataclass(frozen=True, slots=True)
class UsedRewrite:
    """A rewrite of the reply and how many hits its window had."""

    rewrite_id: str
    text: str
    confidence: float
    retrieved: int


@dataclass(frozen=True, slots=True)
class Rewriting:
    """The response's `ext.iterqr`: how the query was understood, and how that went.

    `timings`: durations by name, the unit at the end of the name; what was not reached is left out.
    """

    outcome: str
    fix: str
    intent: str
    meaning: str
    hints: tuple[str, ...]
    rewrites: tuple[UsedRewrite, ...]
    checkpoint_id: str
    timings: Mapping[str, float]

    @property
    def has_chain_of_thought(self) -> bool:
        """Whether all three steps before the rewrites are there."""
        return bool(self.fix and self.intent and self.meaning)


@dataclass(frozen=True, slots=True)
class Observation:
    """One query, both ways. Times are the client's, ms; `relevant` are all dishes known to satisfy the query."""

    query: str
    kind: str
    region: str
    relevant: frozenset[str]
    plain_hits: tuple[Hit, ...]
    plain_ms: float
    channel_hits: tuple[Hit, ...]
    channel_ms: float
    rewriting: Rewriting

    @property
    def working_rewrites(self) -> tuple[UsedRewrite, ...]:
        """Rewrites that differ from the query and retrieved documents."""
        said = _folded(self.query)
        return tuple(each for each in self.rewriting.rewrites if _folded(each.text) != said and each.retrieved > 0)

    @property
    def works(self) -> bool:
        """Whether the chain of thought is valid and at least one rewrite differs and retrieves documents."""
        return self.rewriting.has_chain_of_thought and bool(self.working_rewrites)

    @property
    def untagged_hits(self) -> int:
        """Hits of a fused response that do not say which channel retrieved them; there should be none."""
        return sum(not hit.channels for hit in self.channel_hits) if self.rewriting.outcome == FUSED else 0

    def new_true_hits(self, cutoff: int) -> tuple[Hit, ...]:
        """Satisfying hits of the channel's first `cutoff` that plain search does not have in its own."""
        before = {hit.dish_id for hit in self.plain_hits[:cutoff]}
        return tuple(hit for hit in self.channel_hits[:cutoff] if hit.satisfies and hit.dish_id not in before)


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
