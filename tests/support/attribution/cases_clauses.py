"""Named vector clauses: sub-channels of the original, each with a window of its own.

Documents and scores are those of `cases_vectors`. A document that a named clause retrieved is never a rewrite's alone,
also where the original's window has no room for it.
"""

from __future__ import annotations

from typing import Any

from support.attribution.case import Case, Delete, Document, Put, Shape, Weights, make, match_title
from support.attribution.cases_vectors import LINE, QUERY, at, beside, closeness, knn, near

NAME = "embedding"
REWRITES_FIRST = Weights(rewrite=3.0)
"""So that what rewrites retrieve is on the page although the original's window is small."""


def _named(k: int, **options: Any) -> Shape:  # noqa: ANN401 - options of the clause
    return beside(k, _name=NAME, **options)


def _case(name: str, k: int, reach: float, windows: list[str], clause: str, **rest: Any) -> Case:  # noqa: ANN401 - of Case
    given = {
        "shape": _named(k),
        "scoring": near(reach),
        "clauses": {NAME: clause},
        "clause_scoring": closeness,
        **rest,
    }
    return make("named clause", name, given.pop("documents", LINE), QUERY, ("thai",), windows, **given)


def clause_cases() -> list[Case]:
    """All of this file; they need the k-NN plugin."""
    return [*_membership(), *_scope(), *_changes()]


def _membership() -> list[Case]:
    thai = "t4 v3 v1"
    beyond = {**LINE, "v1": at(1, "thai*4")}
    small = {"window_size": 2, "pages": ((0, 2),), "weights": REWRITES_FIRST}
    return [
        _case("k 1", 1, 0, ["p5 v0 v2 v3", thai], "v0"),
        _case("a document of clause, original and rewrite", 2, 1, ["p5 v0 v2 v3 v1", thai], "v0 v1"),
        _case("a document of words and clause", 3, 2, ["p5 v2 v0 v3 v1", thai], "v0 v1 v2"),
        _case("k larger than the index", 50, 5, ["p5 v2 v3 v0 v1 t4", thai], "v0 v1 v2 v3 t4 p5"),
        _case(
            "clause and rewrite, beyond the original's window",
            3,
            2,
            ["p5 v2", "v1 t4"],
            "v0 v1",
            documents=beyond,
            **small,
        ),
        _case(
            "the clause alone, beyond the original's window: on no page",
            3,
            2,
            ["p5 v2", "t4 v3"],
            "v0 v1",
            window_size=2,
            pages=((0, 2),),
        ),
        _case(
            "beyond the clause's window, a rewrite's alone", 1, 0, ["p5 v0", "v1 t4"], "v0", documents=beyond, **small
        ),
        _case("in pages", 3, 2, ["p5 v2 v0 v3 v1", thai], "v0 v1 v2", pages=((0, 2), (2, 2), (4, 2))),
        _case(
            "beside the words in a dis_max",
            1,
            0,
            ["p5 v0 v2 v3", thai],
            "v0",
            shape=lambda text: {"dis_max": {"queries": [match_title(text), knn(1, _name=NAME)]}},
        ),
        _case(
            "two clauses",
            2,
            1,
            ["p5 v0 v2 v3 v1", thai],
            "",
            shape=lambda text: {
                "bool": {
                    "should": [
                        match_title(text),
                        knn(2, _name=NAME),
                        {"knn": {"embedding": {"vector": [5.0, 0.0], "k": 1, "_name": "far"}}},
                    ]
                }
            },
            clauses={NAME: "v0 v1", "far": "p5"},
            scoring=None,
        ),
        _case("without a name it is no channel", 2, 1, ["p5 v0 v2 v3 v1", thai], "", shape=beside(2), clauses={}),
    ]


def _scope() -> list[Case]:
    regions = {
        "a": at(0, region="south"),
        "b": at(1, region="north"),
        "c": at(2, "pad", region="north"),
        "d": at(3, "thai", region="north"),
        "e": at(4, "thai", region="south"),
    }
    north = {"term": {"region": "north"}}
    apart = {
        "n": at(0, region="north"),
        "n2": at(2, "thai", region="north"),
        "s": at(1, region="south"),
        "s2": at(3, "thai*2", region="south"),
    }
    return [
        _case(
            "a filter beside it",
            2,
            1,
            ["c b", "d"],
            "b",
            documents=regions,
            shape=lambda text: {
                "bool": {
                    "should": [match_title(text), knn(2, _name=NAME)],
                    "filter": [north],
                    "minimum_should_match": 1,
                }
            },
        ),
        _case(
            "must_not beside it",
            2,
            1,
            ["c b", "d"],
            "b",
            documents=regions,
            shape=lambda text: {
                "bool": {
                    "should": [match_title(text), knn(2, _name=NAME)],
                    "must_not": [{"term": {"region": "south"}}],
                    "minimum_should_match": 1,
                }
            },
        ),
        _case(
            "a filter within it makes it look further",
            2,
            2,
            ["c b", "d e"],
            "b c",
            documents=regions,
            shape=_named(2, filter=north),
        ),
        _case("post_filter", 2, 1, ["c b", "d"], "b", documents=regions, body={"post_filter": north}),
        _case("two shards: k counts in each", 1, 1, ["n s", "s2 n2"], "n s", documents=apart, shards=2),
        _case(
            "two shards: clause and rewrite, beyond the original's window",
            1,
            1,
            ["p q", "n s2"],
            "n s",
            documents={
                **apart,
                "n": at(0, "thai*3", region="north"),
                "p": at(9, "pad*3", region="north"),
                "q": at(9, "pad*2", region="south"),
            },
            shards=2,
            window_size=2,
            pages=((0, 2),),
            weights=REWRITES_FIRST,
        ),
    ]


def _changes() -> list[Case]:
    moved: Document = at(9, "pad")
    return [
        _case(
            "a document deleted while rewrites are awaited",
            2,
            2,
            ["p5 v2 v0 v3", "t4 v3"],
            "v0 v2",
            between=(Delete("v1"),),
        ),
        _case(
            "a document moved out of the clause's reach before the search",
            2,
            2,
            ["p5 v2 v0 v3 v1", "t4 v3"],
            "v0 v2",
            before=(Put("v1", moved),),
        ),
    ]
