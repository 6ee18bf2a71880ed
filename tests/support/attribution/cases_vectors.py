"""Beside an embedding clause: what only the vector retrieves is the original's, as the vector is of the user's text.

A document lies on a line, the user's vector at 0: at distance x the k-NN clause adds 1 / (1 + x²) to its score.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from support.attribution.case import Case, Document, Scoring, Shape, Weights, counting, make, match_title
from support.attribution.running import MAPPINGS, SETTINGS

QUERY = "pad"
EMBEDDING = {
    "type": "knn_vector",
    "dimension": 2,
    "method": {"name": "hnsw", "engine": "lucene", "space_type": "l2"},
}
VECTOR_SETTINGS: Mapping[str, Any] = {**SETTINGS, "knn": True}
VECTOR_MAPPINGS: Mapping[str, Any] = {
    **MAPPINGS,
    "properties": {**MAPPINGS["properties"], "embedding": EMBEDDING},
}


def at(distance: float, words: str = "other", **fields: Any) -> Document:  # noqa: ANN401 - fields of a document
    """A document at a distance from the user's vector."""
    return Document(words, {"embedding": [distance, 0.0], **fields}, fields.get("region"))


def knn(k: int, **options: Any) -> dict[str, Any]:  # noqa: ANN401 - options of the clause
    """The clause with the user's vector."""
    return {"knn": {"embedding": {"vector": [0.0, 0.0], "k": k, **options}}}


def closeness(document: Document) -> float:
    """The score of a document in the clause alone."""
    distance: float = document.fields["embedding"][0]
    return 1 / (1 + distance**2)


def beside(k: int, **options: Any) -> Shape:  # noqa: ANN401 - options of the clause
    """Words or vector."""
    return lambda text: {"bool": {"should": [match_title(text), knn(k, **options)]}}


def near(reach: float) -> Scoring:
    """Words, and for the original the vector, of those that its k reaches."""

    def scored(text: str, document: Document) -> float:
        is_near = text == QUERY and document.fields["embedding"][0] <= reach
        return counting(text, document) + (closeness(document) if is_near else 0.0)

    return scored


LINE: Mapping[str, Document] = {
    "v0": at(0),
    "v1": at(1, "thai"),
    "v2": at(2, "pad"),
    "v3": at(3, "pad thai*2"),
    "t4": at(4, "thai*3"),
    "p5": at(5, "pad*2"),
}


def _case(name: str, k: int, reach: float, windows: list[str], **rest: Any) -> Case:  # noqa: ANN401 - of Case
    given = {"shape": beside(k), "scoring": near(reach), **rest}
    return make("embedding", name, given.pop("documents", LINE), QUERY, ("thai",), windows, **given)


def vectors_cases() -> list[Case]:
    """All of this file; they need the k-NN plugin."""
    regions = {
        "a": at(0, region="south"),
        "b": at(1, region="north"),
        "c": at(2, "pad", region="north"),
        "d": at(3, "thai", region="north"),
        "e": at(4, "thai", region="south"),
    }
    north = {"term": {"region": "north"}}
    thai = "t4 v3 v1"
    return [
        _case("k 1", 1, 0, ["p5 v0 v2 v3", thai]),
        _case("k 2: a vector's document that the rewrite has too", 2, 1, ["p5 v0 v2 v3 v1", thai]),
        _case("k 3: a document by word and vector", 3, 2, ["p5 v2 v0 v3 v1", thai]),
        _case("k 5: all but one", 5, 4, ["p5 v2 v3 v0 v1 t4", thai]),
        _case("k larger than the index", 50, 5, ["p5 v2 v3 v0 v1 t4", thai]),
        _case("a window that the vector's documents fill", 2, 1, ["p5 v0", "t4 v3"], window_size=2, pages=((0, 2),)),
        _case(
            "a window of two, rewrite first",
            2,
            1,
            ["p5 v0", "t4 v3"],
            window_size=2,
            pages=((0, 2),),
            weights=Weights(rewrite=3.0),
        ),
        _case("in pages", 3, 2, ["p5 v2 v0 v3 v1", thai], pages=((0, 2), (2, 2), (4, 2))),
        _case(
            "vector alone finds what the words do not",
            1,
            0,
            ["a", "b"],
            documents={"a": at(0), "b": at(1, "thai"), "c": at(2)},
        ),
        _case(
            "a filter beside it leaves of the k those it lets pass",
            2,
            1,
            ["c b", "d"],
            documents=regions,
            shape=lambda text: {
                "bool": {"should": [match_title(text), knn(2)], "filter": [north], "minimum_should_match": 1}
            },
        ),
        _case(
            "a filter within it makes it look further",
            2,
            2,
            ["c b", "e d"],
            documents={**regions, "e": at(4, "thai*2", region="south"), "a": at(0, region="south")},
            shape=beside(2, filter=north),
            scoring=None,
        ),
        _case("post_filter", 2, 1, ["c b", "d"], documents=regions, body={"post_filter": north}),
        _case(
            "beside the words in a dis_max",
            1,
            0,
            ["p5 v0 v2 v3", thai],
            shape=lambda text: {"dis_max": {"queries": [match_title(text), knn(1)]}},
        ),
        _case(
            "k counts in each shard",
            1,
            1,
            ["n s", ""],
            documents={
                "n": at(0, region="north"),
                "n2": at(2, region="north"),
                "s": at(1, region="south"),
                "s2": at(3, region="south"),
            },
            shards=2,
        ),
    ]
