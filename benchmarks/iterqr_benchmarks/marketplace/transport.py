"""What the traffic needs of a node: searches, events, and what a search of an earlier start has shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from iterqr_benchmarks.marketplace.events import Delivery


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search as a client sends it. `client_id` is "" if the client tells none."""

    query_id: str
    client_id: str
    text: str
    region: str
    time: datetime
    size: int


@dataclass(frozen=True, slots=True)
class Page:
    """What a search showed: hits from the first on, and what the plugin says of it.

    `outcome`, `source` (of the rewrites: model, cache) and `bucket` are the plugin's names, "" where it tells none.
    """

    object_ids: tuple[str, ...]
    outcome: str
    source: str
    bucket: str
    rewrites: int


class MarketNode(Protocol):
    """A node. `search` is called from several threads, the rest from one."""

    def search(self, request: SearchRequest) -> Page:
        """Searches, once: nothing is tried again, as a search that was answered has left its traces.

        Raises:
            MarketplaceError: The node refuses the search or does not answer.
        """

    def send_events(self, events: Sequence[Delivery]) -> int:
        """Writes events that are not there yet, each under its document id; returns how many were not.

        Raises:
            MarketplaceError: The node refuses one, or does not answer.
        """

    def shown(self, query_ids: Sequence[str]) -> dict[str, Page]:
        """Returns what earlier searches showed, by query id; those that left no trace are not in it.

        Called when no search is under way.
        """
