"""A small world, and a node made up in this process: it keeps what was searched for and sent, and may break."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from iterqr_benchmarks.errors import MarketplaceError
from iterqr_benchmarks.marketplace.events import Delivery
from iterqr_benchmarks.marketplace.market import Market, open_market
from iterqr_benchmarks.marketplace.settings import WorldSettings
from iterqr_benchmarks.marketplace.transport import Page, SearchRequest

SMALL_WORLD = WorldSettings(merchants=60, dishes=900, regions=3, seed=5)


def small_market() -> Market:
    return open_market(SMALL_WORLD)


@dataclass(slots=True)
class ScriptedNode:
    """Shows some dishes of the region, drawn by the text alone: the same text, the same page.

    `better` puts them in the reverse order, as another arm may. The search of number `fails_at` is answered by the node
    but the answer is lost; `fails_before` fails before the node has seen it.
    """

    market: Market
    better: bool = False
    fails_at: int = -1
    fails_before: int = -1
    events_fail_after: int = -1
    searched: list[SearchRequest] = field(default_factory=list)
    impressions: dict[str, Page] = field(default_factory=dict)
    events: dict[str, Delivery] = field(default_factory=dict)
    arrived: list[Delivery] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def search(self, request: SearchRequest) -> Page:
        with self._lock:
            number = len(self.searched)
            if number == self.fails_before:
                self.fails_before = -1
                raise MarketplaceError("the node is away")
            assert request.query_id not in self.impressions, "searched for twice"
            self.searched.append(request)
            page = self._page(request)
            self.impressions[request.query_id] = page
            if number == self.fails_at:
                self.fails_at = -1
                raise MarketplaceError("the answer was lost")
            return page

    def send_events(self, events: Sequence[Delivery]) -> int:
        created = 0
        for each in events:
            if len(self.events) == self.events_fail_after:
                self.events_fail_after = -1
                raise MarketplaceError("the bulk was cut")
            if each.document_id not in self.events:
                self.events[each.document_id] = each
                self.arrived.append(each)
                created += 1
        return created

    def shown(self, query_ids: Sequence[str]) -> dict[str, Page]:
        return {query_id: self.impressions[query_id] for query_id in query_ids if query_id in self.impressions}

    def _page(self, request: SearchRequest) -> Page:
        dishes = self.market.region(request.region).shelf.dishes
        words = request.text.lower().split()
        scored = sorted(dishes, key=lambda dish: -sum(word in dish.title.lower() for word in words))[:40]
        random.Random(request.text).shuffle(scored)
        page = [dish.dish_id for dish in scored[: request.size]]
        return Page(tuple(page[::-1] if self.better else page), "fused", "generated", "treatment", 2)
