"""What is compared: anything that gives ranked rewrites for a query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RankedRewrite:
    """A rewrite in the system's own order. `confidence`: 0 to 1, not calibrated."""

    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What a system said to one query.

    `latency_ms`: None where it was not asked alone. `generated_tokens`: None where the system generates none.
    `well_formed`: the output could be read as the format wants; always true of systems that have no format. `failure`:
    why there is no answer, or "".
    """

    query: str
    region: str
    rewrites: tuple[RankedRewrite, ...]
    latency_ms: float | None
    generated_tokens: int | None = None
    well_formed: bool = True
    failure: str = ""


class Rewriter(Protocol):
    """A system under comparison."""

    @property
    def name(self) -> str:
        """For people: champion, keyword."""
        ...

    @property
    def identity(self) -> str:
        """What decides its answers (a checkpoint, settings and data); stored answers of another are not used."""
        ...

    @property
    def at_a_time(self) -> int:
        """How many queries it may be asked at the same time."""
        ...

    def rewrite(self, query: str, region: str) -> Answer:
        """Answers one query.

        Raises:
            SourceError: It cannot be reached; what it has answered is kept, and the run can go on later.
        """
        ...


class NoRewriter:
    """Plain search: what every other system must beat."""

    name = "none"
    identity = "none"
    at_a_time = 1

    def rewrite(self, query: str, region: str) -> Answer:
        """See `Rewriter`."""
        return Answer(query, region, (), 0.0)
