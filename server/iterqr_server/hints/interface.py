"""What rewriting needs of a source of hints."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol


class HintsOutcome(enum.Enum):
    """Where the titles came from, or why there are none."""

    EXACT = "exact"  # clicked in this region after this very query
    NEAREST = "nearest"  # clicked in this region after similar queries
    CATALOG = "catalog"  # best-matching titles of the catalog
    NONE = "none"  # nothing matched
    OFF = "off"  # hints are turned off
    TIMEOUT = "timeout"  # the budget was over
    UNAVAILABLE = "unavailable"  # the node could not be reached
    ERROR = "error"  # the node refused the request or its reply made no sense

    @property
    def is_failure(self) -> bool:
        """Whether titles may exist that could not be read."""
        return self in (HintsOutcome.TIMEOUT, HintsOutcome.UNAVAILABLE, HintsOutcome.ERROR)


@dataclass(frozen=True, slots=True)
class Hints:
    """Titles, best first, without duplicates."""

    titles: tuple[str, ...]
    outcome: HintsOutcome


class HintSource(Protocol):
    """Reads hints. Fails open: no fault of the source may fail a rewrite."""

    @property
    def version(self) -> str:
        """Identifies the hints; changes when all of them may have. Empty if there are none. Never waits."""
        ...

    async def start(self) -> None:
        """Called once on the event loop, before `read`."""
        ...

    async def read(self, region: str, query: str) -> Hints:
        """Returns hints for a normalized query within the source's own budget. Raises nothing."""
        ...

    async def close(self) -> None:
        """Frees what the source holds. Idempotent."""
        ...


class NoHints:
    """The source when hints are turned off."""

    version = ""

    async def start(self) -> None:
        """Does nothing."""

    async def read(self, region: str, query: str) -> Hints:  # noqa: ARG002 - the protocol's parameters
        """Returns no hints."""
        return Hints((), HintsOutcome.OFF)

    async def close(self) -> None:
        """Does nothing."""
