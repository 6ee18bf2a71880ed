"""Which rewrites are good, as the simulator knows: what clicks are compared with when popularity bias is judged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from iterqr_training.experiments.rewrite_exposure import REWRITE_TRUTH

from iterqr_benchmarks.marketplace.ledger import Ledger

_SHOWN = ("query_id", "position", "satisfies")


def rewrite_truth(ledger: Ledger, impressions: pa.Table, rewrites: pa.Table, hit_channels: pa.Table) -> pa.Table:
    """Returns `REWRITE_TRUTH` of the rewrites of which a new result was shown.

    A rewrite of a query is good if a result that only rewrites retrieved, it among them, truly satisfied the need of a
    user who was shown it. Pure.

    Args:
        ledger: Of the run.
        impressions: `IMPRESSIONS` of the run.
        rewrites: `REWRITES`.
        hit_channels: `HIT_CHANNELS`.
    """
    pages = {row["impression_id"]: row for row in _rows(impressions, "impression_id", "query_id", "normalized_query")}
    texts = {
        (row["impression_id"], row["rewrite_id"]): row["text"]
        for row in _rows(rewrites, "impression_id", "rewrite_id", "text")
    }
    satisfying = {
        (row["query_id"], row["position"]) for row in _rows(ledger.read("shown"), *_SHOWN) if row["satisfies"]
    }
    good: dict[tuple[str, str], bool] = {}
    for (impression_id, position), names in _new_hits(hit_channels, pages).items():
        page = pages[impression_id]
        for name in names:
            key = (page["normalized_query"], texts[impression_id, name])
            good[key] = good.get(key, False) or (page["query_id"], position) in satisfying
    told = [
        {"normalized_query": query, "rewrite_text": text, "good": is_good} for (query, text), is_good in good.items()
    ]
    return pa.Table.from_pylist(told, schema=REWRITE_TRUTH.schema)


def _new_hits(hit_channels: pa.Table, pages: Mapping[str, Any]) -> Mapping[tuple[str, int], set[str]]:
    """The rewrites of each shown hit that no original channel retrieved, by impression and position."""
    by_rewrites: dict[tuple[str, int], set[str]] = defaultdict(set)
    by_original: set[tuple[str, int]] = set()
    for row in _rows(hit_channels, "impression_id", "shown", "position", "channel", "rewrite_id"):
        place = (row["impression_id"], row["position"])
        if not row["shown"] or row["impression_id"] not in pages:
            continue
        if row["channel"].startswith("original"):
            by_original.add(place)
        elif row["channel"] == "rewrite":
            by_rewrites[place].add(row["rewrite_id"])
    return {place: names for place, names in by_rewrites.items() if place not in by_original}


def _rows(table: pa.Table, *names: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.select(list(names)).to_pylist()
    return rows
