"""What came of a run's traffic, counted from its ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from iterqr_benchmarks.marketplace.ledger import Ledger
from iterqr_benchmarks.marketplace.market import BANDS

_CACHED = frozenset({"server_cache", "server_coalesced", "node_cache", "node_coalesced"})
_USED = frozenset({"fused", "expanded", "shadow"})


@dataclass(frozen=True, slots=True)
class TrafficSummary:
    """Counts of one run, bots among them unless said otherwise.

    `searches` are `needs` (searched for) and `reformulations`. `outcomes`, `sources` (of rewrites), `buckets` and
    `bands`: searches by the plugin's name or the frequency band. `distinct`: different texts within a region;
    `distinct_bands`: those by band. `sent` events, of `actions`; `touched` by adversity. `by_bots`: searches.
    `seconds`: the traffic took, over all starts.
    """

    searches: int
    needs: int
    reformulations: int
    users: int
    distinct: int
    outcomes: Mapping[str, int]
    sources: Mapping[str, int]
    buckets: Mapping[str, int]
    bands: Mapping[str, int]
    distinct_bands: Mapping[str, int]
    phrase_kinds: Mapping[str, int]
    satisfiable: int
    clicks: int
    orders: int
    value: float
    actions: int
    sent: int
    touched: Mapping[str, int]
    by_bots: int
    seconds: float

    @property
    def rewritten_share(self) -> float:
        """Share of the searches whose page rewrites may have changed: fused, expanded, or shadow."""
        return sum(self.outcomes.get(outcome, 0) for outcome in _USED) / max(1, self.searches)

    @property
    def cache_hit_rate(self) -> float:
        """Share of the searches with rewrites that did not need a generation of their own."""
        with_rewrites = sum(self.sources.values())
        return sum(self.sources.get(source, 0) for source in _CACHED) / max(1, with_rewrites)

    @property
    def tail_share_of_distinct(self) -> float:
        """Share of the distinct queries that are tail."""
        return self.distinct_bands.get("tail", 0) / max(1, self.distinct)


def summarize(ledger: Ledger, seconds: float) -> TrafficSummary:
    """Counts a ledger."""
    searches = ledger.read("searches")
    orders = ledger.read("orders")
    events = ledger.read("events")
    bands = _column(searches, "band")
    texts = dict(zip(zip(_column(searches, "region"), _column(searches, "text"), strict=True), bands, strict=True))
    repeated = sum(attempt > 0 for attempt in _column(searches, "attempt"))
    return TrafficSummary(
        searches=searches.num_rows,
        needs=searches.num_rows - repeated,
        reformulations=repeated,
        users=len(set(_column(searches, "client_id"))),
        distinct=len(texts),
        outcomes=_counts(searches, "outcome"),
        sources=_counts(searches, "source"),
        buckets=_counts(searches, "bucket"),
        bands={band: bands.count(band) for band in BANDS},
        distinct_bands={band: list(texts.values()).count(band) for band in BANDS},
        phrase_kinds=_counts(searches, "phrase_kind"),
        satisfiable=sum(shown > 0 for shown in _column(searches, "satisfying_shown")),
        clicks=sum(_column(searches, "clicks")),
        orders=orders.num_rows,
        value=round(sum(_column(orders, "value")), 2),
        actions=ledger.read("actions").num_rows,
        sent=events.num_rows,
        touched=dict(Counter(name for each in _column(events, "touched") for name in each.split(",") if name)),
        by_bots=sum(bool(bot) for bot in _column(searches, "bot")),
        seconds=round(seconds, 1),
    )


def _counts(table: pa.Table, column: str) -> dict[str, int]:
    """Rows by value, most frequent first; "" is not counted."""
    return dict(Counter(value for value in _column(table, column) if value).most_common())


def _column(table: pa.Table, name: str) -> list[Any]:
    values: list[Any] = table.column(name).to_pylist()
    return values
