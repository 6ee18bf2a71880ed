"""What a search may see and how it ranks: filters, ties, indices, routing, shards, changes, pages, presentation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from support.attribution.case import Case, Delete, Document, Put, Shape, Weights, make, match_title

NORTH, SOUTH = {"region": "north"}, {"region": "south"}
REGIONS: Mapping[str, Document] = {
    "a": Document("pad*4", {**NORTH, "price": 1}),
    "b": Document("pad*3 thai", {**SOUTH, "price": 2}),
    "c": Document("pad*2 thai*2", {**NORTH, "price": 3}),
    "d": Document("thai*4", {**SOUTH, "price": 4}),
    "e": Document("thai*3", {**NORTH, "price": 5}),
}
IS_NORTH = {"term": {"region": "north"}}


def filtered(**clauses: Any) -> Shape:  # noqa: ANN401 - bool clauses
    """A match query under a bool's other clauses."""
    return lambda text: {"bool": {"must": [match_title(text)], **clauses}}


def _regions(name: str, windows: list[str], **rest: Any) -> Case:  # noqa: ANN401 - fields of Case
    return make("filters", name, REGIONS, "pad", ("thai",), windows, **rest)


FILTERS = (
    _regions("none", ["a b c", "d e c b"]),
    _regions("filter", ["a c", "e c"], shape=filtered(filter=[IS_NORTH])),
    _regions("must_not", ["b", "d b"], shape=filtered(must_not=[IS_NORTH])),
    _regions("range", ["b c", "d c b"], shape=filtered(filter=[{"range": {"price": {"gte": 2, "lte": 4}}}])),
    _regions("two filters", ["c", "e c"], shape=filtered(filter=[IS_NORTH, {"range": {"price": {"gt": 1}}}])),
    _regions(
        "filter that only the rewrite's documents pass",
        ["", "d e"],
        shape=filtered(filter=[{"range": {"price": {"gte": 4}}}]),
    ),
    _regions(
        "filter that only the original's documents pass",
        ["a", ""],
        shape=filtered(filter=[{"range": {"price": {"lte": 1}}}]),
    ),
    _regions("filter that nothing passes", ["", ""], shape=filtered(filter=[{"term": {"region": "west"}}])),
    _regions("filter with the query's own text", ["a b c", "c b"], shape=filtered(filter=[match_title("pad")])),
    _regions("must_not with the query's own text", ["", "d e"], shape=filtered(must_not=[match_title("pad")])),
    _regions("filter of ids", ["b", "d b"], shape=filtered(filter=[{"ids": {"values": ["b", "d"]}}])),
    _regions("post_filter", ["a c", "e c"], body={"post_filter": IS_NORTH}),
    _regions(
        "post_filter and filter",
        ["c", "e c"],
        shape=filtered(filter=[{"range": {"price": {"gte": 2}}}]),
        body={"post_filter": IS_NORTH},
    ),
    _regions("post_filter with the query's own text", ["a b c", "c b"], body={"post_filter": match_title("pad")}),
    _regions("post_filter that nothing passes", ["", ""], body={"post_filter": {"term": {"region": "west"}}}),
    _regions(
        "filtered alias", ["a c", "e c"], aliases={"north": {"index": "{a}", "filter": IS_NORTH}}, target="{north}"
    ),
    _regions(
        "filtered alias and filter",
        ["c", "e c"],
        aliases={"north": {"index": "{a}", "filter": IS_NORTH}},
        target="{north}",
        shape=filtered(filter=[{"range": {"price": {"gte": 2}}}]),
    ),
    _regions(
        "filtered alias and post_filter",
        ["c", "e c"],
        aliases={"north": {"index": "{a}", "filter": IS_NORTH}},
        target="{north}",
        body={"post_filter": {"range": {"price": {"gte": 2}}}},
    ),
    _regions(
        "filtered alias with the query's own text",
        ["a b c", "c b"],
        aliases={"pads": {"index": "{a}", "filter": match_title("pad")}},
        target="{pads}",
    ),
    _regions(
        "filter by words and a window of two",
        ["a c", "e c"],
        shape=filtered(filter=[IS_NORTH]),
        window_size=2,
        pages=((0, 2),),
    ),
    _regions(
        "optional clauses beside filters retrieve only what has the words",
        ["a c e", "e c"],
        shape=lambda text: {"bool": {"should": [match_title(text)], "filter": [IS_NORTH]}},
    ),
)


def _ties(name: str, documents: Mapping[str, str], windows: list[str], **rest: Any) -> Case:  # noqa: ANN401
    return make("ties", name, documents, "pad", ("thai", "rice"), windows, **rest)


TIES = (
    _ties("all equal in every channel", dict.fromkeys("abcd", "pad thai rice"), ["a b c d"] * 3),
    _ties("all equal in the original", {"a": "pad", "b": "pad thai", "c": "pad rice"}, ["a b c", "b", "c"]),
    _ties("equal in a rewrite only", {"a": "pad", "b": "thai*2", "c": "thai*2"}, ["a", "b c", ""]),
    _ties("pairs", {"a": "pad*2", "b": "pad*2 thai", "c": "pad thai", "d": "pad"}, ["a b c d", "b c", ""]),
    _ties("one in each channel, all first", {"a": "pad", "b": "thai", "c": "rice"}, ["a", "b", "c"]),
    _ties(
        "across the window's edge",
        dict.fromkeys("abcdef", "pad thai"),
        ["a b c", "a b c", ""],
        window_size=3,
        pages=((0, 3),),
    ),
    _ties(
        "across the window's edge, in the other channel inside",
        {"a": "pad*2", "b": "pad", "c": "pad thai*3", "d": "thai*2"},
        ["a b", "c d", ""],
        window_size=2,
        weights=Weights(rewrite=3.0),
        pages=((0, 2),),
    ),
    _ties(
        "on the page's edge",
        {"a": "pad", "b": "thai", "c": "rice", "d": "pad", "e": "thai", "f": "rice"},
        ["a d", "b e", "c f"],
        weights=Weights(1.0, 1.0),
        pages=((0, 4),),
    ),
    _ties("in different orders of writing", {"z": "pad", "a": "pad", "m": "pad thai"}, ["z a m", "m", ""]),
    _ties("equal scores from different words", {"a": "pad*2", "b": "thai*2", "c": "pad thai"}, ["a c", "b c", ""]),
)

FIRST_PUT = Put("b", Document("pad*2 thai*5"))
DISHES = {"a": "pad*3", "b": "pad*2 thai*2", "c": "thai*3", "d": "thai"}


def _changed(name: str, windows: list[str], **rest: Any) -> Case:  # noqa: ANN401 - fields of Case
    return make("changed documents", name, DISHES, "pad", ("thai",), windows, **rest)


CHANGES = (
    _changed("deleted before", ["a", "c d"], before=(Delete("b"),)),
    _changed("updated before", ["a b", "b c d"], before=(FIRST_PUT,)),
    _changed(
        "deleted before and written again", ["a b", "c b d"], before=(Delete("b"), Put("b", Document("pad*2 thai*2")))
    ),
    _changed("all of a channel deleted before", ["a", ""], before=(Delete("b"), Delete("c"), Delete("d"))),
    _changed("a hit of both deleted between", ["a", "c d"], between=(Delete("b"),)),
    _changed("the original's first hit deleted between", ["b", "c b d"], between=(Delete("a"),)),
    _changed("a hit of the rewrite deleted between", ["a b", "b d"], between=(Delete("c"),)),
    _changed("every hit of the original deleted between", ["", "c d"], between=(Delete("a"), Delete("b"))),
    _changed("updated between, same words", ["a b", "c b d"], between=(Put("a", Document("pad*3")),)),
    _changed("updated between, no longer the original's", ["b", "c b d"], between=(Put("a", Document("soup")),)),
    _changed(
        "updated between, now the rewrite's too", ["a b", "a c b d"], between=(Put("a", Document("pad*3 thai*4")),)
    ),
    _changed("updated between, no longer anyone's", ["a", "c d"], between=(Put("b", Document("soup")),)),
    _changed("written between, for the original", ["x a b", "c b d"], between=(Put("x", Document("pad*4")),)),
    _changed("written between, for the rewrite", ["a b", "x c b d"], between=(Put("x", Document("thai*4")),)),
    _changed(
        "written, updated and deleted between",
        ["x b", "x d"],
        between=(Put("x", Document("pad*4 thai*4")), Put("b", Document("pad*2")), Delete("a"), Delete("c")),
    ),
)

TWO = {"a": "pad*4", "b@b": "pad*3 thai", "c": "pad*2 thai*2", "d@b": "thai*4", "e": "thai*3"}


def _indices(name: str, windows: list[str], documents: Mapping[str, str] = TWO, **rest: Any) -> Case:  # noqa: ANN401
    return make("several indices", name, documents, "pad", ("thai",), windows, **rest)


INDICES = (
    _indices("by list", ["a b@b c", "d@b e c b@b"], target="{a},{b}"),
    _indices("by wildcard", ["a b@b c", "d@b e c b@b"], target="{all}"),
    _indices("one of two", ["a c", "e c"], target="{a}"),
    _indices("the other of two", ["b@b", "d@b b@b"], target="{b}"),
    _indices("by alias", ["a b@b c", "d@b e c b@b"], aliases={"x": {"indices": ["{a}", "{b}"]}}, target="{x}"),
    _indices(
        "the same id in both",
        ["x y@b x@b", "y x@b x"],
        {"x": "pad*5 thai", "y": "thai*4", "x@b": "pad*2 thai*2", "y@b": "pad*3"},
        target="{a},{b}",
    ),
    _indices(
        "indices_boost",
        ["b@b a c", "d@b b@b e c"],
        target="{a},{b}",
        body={"indices_boost": [{"{b}": 4.0}]},
        scoring=None,
    ),
    _indices(
        "three",
        ["a b@b c@c", "c@c b@b a"],
        {"a": "pad*3 thai", "b@b": "pad*2 thai*2", "c@c": "pad thai*3"},
        target="{all}",
    ),
    _indices(
        "filter on the index's name",
        ["b@b", "d@b b@b"],
        target="{a},{b}",
        shape=filtered(filter=[{"term": {"_index": "{b}"}}]),
    ),
    _indices("with two shards each", ["a b@b c", "d@b e c b@b"], target="{a},{b}", shards=2),
)

ROUTED = {
    "a": Document("pad*4", NORTH, "north"),
    "b": Document("pad*3 thai", SOUTH, "south"),
    "c": Document("pad*2 thai*2", NORTH, "north"),
    "d": Document("thai*4", SOUTH, "south"),
    "e": Document("thai*3", NORTH, "north"),
}


def _routed(name: str, windows: list[str], **rest: Any) -> Case:  # noqa: ANN401 - fields of Case
    return make("routing", name, ROUTED, "pad", ("thai",), windows, **{"shards": 4, **rest})


ROUTING = (
    _routed("none in the search", ["a b c", "d e c b"]),
    _routed(
        "with the filter it stands for", ["a c", "e c"], params={"routing": "north"}, shape=filtered(filter=[IS_NORTH])
    ),
    _routed("to the other shard", ["b", "d b"], params={"routing": "south"}, shape=filtered(must_not=[IS_NORTH])),
    _routed("to both", ["a b c", "d e c b"], params={"routing": "north,south"}),
    _routed("to one shard of one", ["a b c", "d e c b"], params={"routing": "north"}, shards=1),
    _routed(
        "of an alias",
        ["a c", "e c"],
        aliases={"n": {"index": "{a}", "filter": IS_NORTH, "routing": "north"}},
        target="{n}",
    ),
    _routed(
        "of an alias, for searches only",
        ["b", "d b"],
        aliases={"s": {"index": "{a}", "filter": {"term": {"region": "south"}}, "search_routing": "south"}},
        target="{s}",
    ),
    _routed("preference", ["a b c", "d e c b"], params={"preference": "_local"}),
)


def shard_cases() -> Iterator[Case]:
    """Sequence numbers repeat from shard to shard, and counts of words differ: neither may mix documents up."""
    documents = {f"d{number}": f"pad*{20 - number} thai*{number + 1}" for number in range(16)}
    names = list(documents)
    for shards in (2, 3, 5, 8):
        yield make(
            "shards",
            f"{shards} shards, every document in both channels",
            documents,
            "pad",
            ("thai",),
            [" ".join(names), " ".join(reversed(names))],
            shards=shards,
        )
        yield make(
            "shards",
            f"{shards} shards, a window of four",
            documents,
            "pad",
            ("thai",),
            [" ".join(names[:4]), " ".join(reversed(names[-4:]))],
            shards=shards,
            window_size=4,
            pages=((0, 4),),
        )


LONG = (
    {f"d{number}": f"pad*{30 - number}" for number in range(6)}
    | {f"r{number}": f"thai*{30 - number}" for number in range(6)}
    | {"x": "pad*2 thai*2"}
)
LONG_WINDOWS = ["d0 d1 d2 d3 d4 d5 x", "r0 r1 r2 r3 r4 r5 x"]


def page_cases() -> Iterator[Case]:
    """Pages by token: together they are the list, each tag where its document is."""
    for size, count in ((1, 13), (2, 7), (3, 5), (5, 3), (10, 2), (13, 1), (20, 1)):
        for weights in (Weights(), Weights(1.0, 3.0)):
            yield make(
                "pages by token",
                f"{count} pages of {size}, rewrites weigh {weights.rewrite}",
                LONG,
                "pad",
                ("thai",),
                LONG_WINDOWS,
                weights=weights,
                pages=tuple((page * size, size) for page in range(count)),
            )
    yield make(
        "pages by token", "one past the list's end", LONG, "pad", ("thai",), LONG_WINDOWS, pages=((0, 5), (20, 5))
    )
    yield make(
        "pages by token", "out of order", LONG, "pad", ("thai",), LONG_WINDOWS, pages=((0, 4), (8, 4), (4, 4), (0, 4))
    )
    yield make(
        "pages by token", "of different sizes", LONG, "pad", ("thai",), LONG_WINDOWS, pages=((0, 1), (1, 7), (8, 20))
    )
    yield make(
        "pages by token",
        "up to the window's edge",
        LONG,
        "pad",
        ("thai",),
        ["d0 d1 d2 d3", "r0 r1 r2 r3"],
        window_size=4,
        pages=((0, 2), (2, 2)),
    )


def presentation_cases() -> Iterator[Case]:
    """What a page shows does not change what retrieved it."""
    shown: Mapping[str, Mapping[str, Any]] = {
        "no source": {"_source": False},
        "part of the source": {"_source": ["region"]},
        "stored fields": {"stored_fields": ["region"]},
        "doc values": {"docvalue_fields": ["price"]},
        "fields": {"fields": ["region"]},
        "highlight": {"highlight": {"fields": {"title": {}}}},
        "versions and sequence numbers": {"version": True, "seq_no_primary_term": True},
        "explain": {"explain": True},
        "script fields": {"script_fields": {"double": {"script": {"source": "doc['price'].value * 2"}}}},
        "aggregations": {"aggs": {"regions": {"terms": {"field": "region"}}}},
        "exact totals": {"track_total_hits": True},
        "no totals": {"track_total_hits": False},
        "sorted by score, as said": {"sort": ["_score"]},
        "profile": {"profile": True},
    }
    for name, body in shown.items():
        yield make("presentation", name, REGIONS, "pad", ("thai",), ["a b c", "d e c b"], body=body)
    yield make(
        "presentation",
        "global term statistics",
        REGIONS,
        "pad",
        ("thai",),
        ["a b c", "d e c b"],
        params={"search_type": "dfs_query_then_fetch"},
        shards=3,
    )


def scope_cases() -> list[Case]:
    """All of this file."""
    return [
        *FILTERS,
        *TIES,
        *CHANGES,
        *INDICES,
        *ROUTING,
        *shard_cases(),
        *page_cases(),
        *presentation_cases(),
    ]
