"""Two shards, on one node or on two, whose statistics give the same words different scores.

Titles are scored by BM25 with each shard's own statistics, computed here from the documents: k1 1.2, b 0.75, as Lucene
does it (Robertson and Zaragoza, 2009; without the factor k1 + 1).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from support.attribution.case import Case, Document, Scoring, Weights, make

FIRST, SECOND = "south", "north"  # routing values that lead to shards 0 and 1 of two
_K1, _B = 1.2, 0.75

DOCUMENTS: Mapping[str, Document] = {
    # pad is everywhere, so it tells little; thai is rare
    "p1": Document("pad*2", routing=FIRST),
    "p2": Document("pad thai", routing=FIRST),
    "p3": Document("pad rice lime", routing=FIRST),
    "p4": Document("pad corn bean leek", routing=FIRST),
    # pad is rare, thai is common
    "q1": Document("pad thai", routing=SECOND),
    "q2": Document("thai rice", routing=SECOND),
    "q3": Document("thai*2 lime", routing=SECOND),
    "q4": Document("lime", routing=SECOND),
}
OWN_STATISTICS = ["q1 p1 p2 p3 p4", "p2 q3 q1 q2"]
ALL_STATISTICS = ["p1 p2 q1 p3 p4", "q3 p2 q1 q2"]


def bm25(documents: Mapping[str, Document], *, per_shard: bool) -> Scoring:
    """Scores with statistics of a document's own shard, or of all."""

    def scored(text: str, document: Document) -> float:
        peers = [each for each in documents.values() if not per_shard or each.routing == document.routing]
        return sum(_term_score(word, document, peers) for word in text.split())

    return scored


def _term_score(word: str, document: Document, peers: Sequence[Document]) -> float:
    times = document.counts.get(word, 0)
    holders = sum(word in peer.counts for peer in peers)
    rarity = math.log(1 + (len(peers) - holders + 0.5) / (holders + 0.5))
    mean_length = sum(_length(peer) for peer in peers) / len(peers)
    return rarity * times / (times + _K1 * (1 - _B + _B * _length(document) / mean_length))


def _length(document: Document) -> int:
    return sum(document.counts.values())


def _prose(text: str) -> dict[str, object]:
    return {"match": {"title.prose": text}}


def shard_scores_cases() -> list[Case]:
    """All of this file."""
    own, everywhere = bm25(DOCUMENTS, per_shard=True), bm25(DOCUMENTS, per_shard=False)
    dfs = {"search_type": "dfs_query_then_fetch"}

    def case(name: str, windows: list[str], scoring: Scoring = own, **rest: Any) -> Case:  # noqa: ANN401 - fields of Case
        given = {"shape": _prose, "shards": 2, "scoring": scoring, **rest}
        return make("scores by shard", name, DOCUMENTS, "pad", given.pop("rewrites", ("thai",)), windows, **given)

    return [
        case("own statistics", OWN_STATISTICS),
        case("all statistics", ALL_STATISTICS, everywhere, params=dfs),
        case("own statistics, a window of two", ["q1 p1", "p2 q3"], window_size=2, pages=((0, 2),)),
        case(
            "all statistics, a window of two",
            ["p1 p2", "q3 p2"],
            everywhere,
            window_size=2,
            pages=((0, 2),),
            params=dfs,
        ),
        case(
            "a window of two, rewrite first",
            ["q1 p1", "p2 q3"],
            window_size=2,
            pages=((0, 2),),
            weights=Weights(rewrite=3.0),
        ),
        case("own statistics, in pages", OWN_STATISTICS, pages=((0, 3), (3, 3), (6, 3))),
        case("routed to the first shard", ["p1 p2 p3 p4", "p2"], params={"routing": FIRST}),
        case("routed to the second shard", ["q1", "q3 q1 q2"], params={"routing": SECOND}),
        case("no rewrite", OWN_STATISTICS[:1], rewrites=(), outcome="no_rewrites", page="q1 p1 p2 p3 p4"),
    ]
