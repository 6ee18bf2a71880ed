"""What is planted, and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from fractions import Fraction

INDEX_PREFIX = "iterqr-attribution-check-"
"""With what the name of each run's index and application begins."""


class Shopper(Enum):
    """Who searches and acts; the check gives each a client id."""

    OWN = "own"
    OTHER = "other"
    UNKNOWN = "unknown"
    """Sends no client id."""


@dataclass(frozen=True, slots=True)
class PlantedDocument:
    """A document of the check's own index, whose id is `object_id`."""

    object_id: str
    text: str


@dataclass(frozen=True, slots=True)
class PlantedRewrite:
    """A rewrite that the check has the plugin search for; the id is 16 hexadecimal digits."""

    rewrite_id: str
    text: str


@dataclass(frozen=True, slots=True)
class PlantedSearch:
    """A search of `Shopper.OWN` with rewrites that are known."""

    query_id: str
    query: str
    rewrites: tuple[PlantedRewrite, ...]


@dataclass(frozen=True, slots=True)
class PlantedEvent:
    """A UBI event; `after` is since the check's searches. An empty `query_id` is not sent."""

    event_id: str
    action: str
    query_id: str
    object_id: str
    shopper: Shopper
    after: timedelta


@dataclass(frozen=True, slots=True)
class Share:
    """The part of an event that is a rewrite's; `rewrite_id` is "" for the original search."""

    rewrite_id: str
    part: Fraction


@dataclass(frozen=True, slots=True)
class Credit:
    """Whom a hit is credited to. `level`: 1 only rewrites retrieved it, 2 the original too, 0 no rewrite did."""

    level: int
    shares: tuple[Share, ...]

    @property
    def is_exclusive(self) -> bool:
        """Whether one rewrite alone retrieved it."""
        return self.level == 1 and len(self.shares) == 1


@dataclass(frozen=True, slots=True)
class KnownOutcome:
    """What must come of an event.

    Attributes:
        event_id: The event.
        status: `credited`, or why not, as in `ATTRIBUTED_EVENTS`.
        touch_event_id: The click that it is credited to.
        query_id: The search that is credited.
        credit: Whom; None unless credited.
    """

    event_id: str
    status: str
    touch_event_id: str = ""
    query_id: str = ""
    credit: Credit | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One rule of attribution, planted."""

    name: str
    rule: str
    documents: tuple[PlantedDocument, ...]
    searches: tuple[PlantedSearch, ...]
    events: tuple[PlantedEvent, ...]
    outcomes: tuple[KnownOutcome, ...]
