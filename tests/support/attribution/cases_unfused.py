"""Searches that are not fused: plain hits, tagged by the original where the page is its ranking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
from support.attribution.case import Case, make, match_title
from support.scripted_service import fails

DOCUMENTS: Mapping[str, str] = {"a": "pad*4", "b": "pad*3", "c": "pad*2 thai", "d": "pad thai*2", "e": "thai*3"}
ORIGINAL = "a b c d"


def _plain(outcome: str, name: str, **rest: Any) -> Case:  # noqa: ANN401 - fields of Case
    given = {"page": ORIGINAL, **rest}
    return make(
        "not fused", name, DOCUMENTS, "pad", ("thai",), [given.pop("window", ORIGINAL), ""], outcome=outcome, **given
    )


SKIPPED = (
    _plain("skipped_sort", "sorted by a field", body={"sort": [{"_doc": "desc"}]}, page="d c b a", tagged=False),
    _plain(
        "skipped_sort", "sorted by score, worst first", body={"sort": [{"_score": "asc"}]}, page="d c b a", tagged=False
    ),
    _plain("skipped_min_score", "min_score", body={"min_score": 2.5}, page="a b"),
    _plain("skipped_size_zero", "no hits wanted", pages=((0, 0),), page=""),
    _plain(
        "skipped_past_window",
        "a page longer than the window",
        window_size=2,
        pages=((0, 3),),
        page="a b c",
        window="a b",
    ),
    _plain("skipped_past_window", "a page past the window", window_size=3, pages=((2, 2),), page="c d", window="a b c"),
    _plain("page_unpinned", "a later page without a token", pages=((2, 2),), page="c d"),
    _plain("page_unpinned", "a later page past the list", pages=((8, 2),), page=""),
    _plain("skipped_scroll", "scroll", params={"scroll": "1m"}, tagged=False),
    _plain(
        "skipped_no_text",
        "no text to replace",
        shape=lambda _text: {"match_all": {}},
        page="a b c d e",
        window="a b c d e",
        scoring=lambda _text, _document: 1.0,
    ),
    _plain(
        "skipped_no_text",
        "two texts",
        shape=lambda text: {"bool": {"should": [match_title(text), match_title("rice")]}},
    ),
    _plain(
        "skipped_no_text",
        "text in a filter only",
        shape=lambda text: {"bool": {"filter": [match_title(text)]}},
        scoring=lambda _text, _document: 0.0,
    ),
    _plain("skipped_collapse", "collapsed", body={"collapse": {"field": "region"}}, page="a", tagged=False),
    _plain(
        "skipped_search_after",
        "search_after",
        body={"sort": [{"_score": "desc"}, {"price": "asc"}], "search_after": [3, 0]},
        page="b c d",
        tagged=False,
    ),
)

FAILED = (
    _plain("unavailable", "server unavailable", answer=fails(grpc.StatusCode.UNAVAILABLE)),
    _plain("rejected", "server busy", answer=fails(grpc.StatusCode.RESOURCE_EXHAUSTED)),
    _plain("bad_reply", "server at fault", answer=fails(grpc.StatusCode.INTERNAL)),
    _plain("bad_reply", "reply is not protobuf", answer=lambda _request: b"\xff\xff"),
    _plain("timeout", "server's own deadline", answer=fails(grpc.StatusCode.DEADLINE_EXCEEDED)),
)


def unfused_cases() -> list[Case]:
    """All of this file. Faults come last: they may make the node ask less of its server for a while."""
    return [*SKIPPED, *FAILED]
