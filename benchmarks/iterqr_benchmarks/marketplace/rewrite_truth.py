"""Which rewrites are good, as the simulator knows: what clicks are compared with when popularity bias is judged."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pyarrow as pa
from iterqr_proto.rewrite_format import normalize_query
from iterqr_training.dataset.rows import LabelSource, Task
from iterqr_training.experiments.rewrite_exposure import REWRITE_TRUTH
from iterqr_training.labels.records import Kind, Label, query_key
from iterqr_training.labels.settings import LONGEST_REFORMULATION_GAP_S

from iterqr_benchmarks.marketplace.ledger import Ledger

RELEVANT_SHARE = 0.3
"""Of a relevant rewrite's shown hits satisfy the need at least so many."""
_LONGEST_GAP = timedelta(seconds=LONGEST_REFORMULATION_GAP_S)
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


def rewrite_relevance(
    ledger: Ledger, impressions: pa.Table, rewrites: pa.Table, hit_channels: pa.Table
) -> tuple[Label, ...]:
    """Returns labels of truth for all rewrites that a page was fused with: what labels are compared with.

    `rewrite_truth` asks what a rewrite added, which the few rewrites with new results tell. This asks what it finds: a
    rewrite of a query is relevant if enough of its hits, whoever else retrieved them, satisfied the needs of the users
    who were shown them. A rewrite of which no hit was shown is not. Pure.

    Args:
        ledger: Of the run.
        impressions: `IMPRESSIONS` of the run.
        rewrites: `REWRITES`.
        hit_channels: `HIT_CHANNELS`.
    """
    columns = ("impression_id", "query_id", "normalized_query", "outcome")
    pages = {row["impression_id"]: row for row in _rows(impressions, *columns) if row["outcome"] == "fused"}
    satisfying = {
        (row["query_id"], row["position"]) for row in _rows(ledger.read("shown"), *_SHOWN) if row["satisfies"]
    }
    places: dict[tuple[str, str], set[int]] = defaultdict(set)
    for row in _rows(hit_channels, "impression_id", "shown", "position", "channel", "rewrite_id"):
        if row["shown"] and row["channel"] == "rewrite" and row["impression_id"] in pages:
            places[row["impression_id"], row["rewrite_id"]].add(row["position"])
    hits: Counter[tuple[str, str]] = Counter()
    good: Counter[tuple[str, str]] = Counter()
    for row in _rows(rewrites, "impression_id", "rewrite_id", "text"):
        page = pages.get(row["impression_id"])
        if page is None:
            continue
        key, found = (page["normalized_query"], row["text"]), places[row["impression_id"], row["rewrite_id"]]
        hits[key] += len(found)
        good[key] += sum((page["query_id"], position) in satisfying for position in found)
    return tuple(
        _relevance(query, text, count > 0 and good[query, text] >= RELEVANT_SHARE * count)
        for (query, text), count in sorted(hits.items())
    )


def reformulation_relevance(ledger: Ledger) -> tuple[Label, ...]:
    """Returns labels of truth for what users searched for next: what labels of reformulations are compared with.

    A rewrite is judged by the hits that it brought to others' pages; a reformulation had a page of its own. It is
    relevant if that page, for the need that both searches had, held enough of the satisfying hits that it could have
    held (as evaluation judges a rewrite by its own window): a need that one dish satisfies has ten hits shown, too.
    After a search for another need it is not relevant. All searches within the longest gap that labels may be told
    to allow are judged, so what is wrong is there to be found. Pure.

    Args:
        ledger: Of the run.
    """
    columns = ("client_id", "region", "time", "query_id", "text", "need_id", "shown", "satisfying_shown", "satisfying")
    told = _rows(ledger.read("searches"), *columns)
    told.sort(key=lambda row: (row["client_id"], row["region"], row["time"], row["query_id"]))
    could: Counter[tuple[str, str]] = Counter()
    did: Counter[tuple[str, str]] = Counter()
    for first, later in pairwise(told):
        key = (normalize_query(first["text"]), normalize_query(later["text"]))
        is_next = (first["client_id"], first["region"]) == (later["client_id"], later["region"])
        if not is_next or later["time"] - first["time"] > _LONGEST_GAP or query_key(key[0]) == query_key(key[1]):
            continue
        could[key] += min(later["shown"], later["satisfying"])
        did[key] += later["satisfying_shown"] if first["need_id"] == later["need_id"] else 0
    return tuple(
        _relevance(query, text, count > 0 and did[query, text] >= RELEVANT_SHARE * count)
        for (query, text), count in sorted(could.items())
    )


def label_truth(ledger: Ledger, impressions: pa.Table, rewrites: pa.Table, hit_channels: pa.Table) -> tuple[Label, ...]:
    """Returns `rewrite_relevance`, and `reformulation_relevance` of the pairs that it does not know.

    Arguments are those of `rewrite_relevance`. Pure.
    """
    shown = rewrite_relevance(ledger, impressions, rewrites, hit_channels)
    known = {each.pair for each in shown}
    return (*shown, *(each for each in reformulation_relevance(ledger) if each.pair not in known))


def _relevance(query: str, text: str, is_good: bool) -> Label:
    return Label(Task.RELEVANCE, query, "", text, Kind.REWRITE, positive=is_good, weight=1.0, source=LabelSource.TRUTH)


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
