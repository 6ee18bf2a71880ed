"""The searches for hints and the reading of their replies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from iterqr_server.hints.interface import HintsOutcome
from iterqr_server.hints.opensearch_source import read_version
from iterqr_server.hints.searches import HintIndexes, HintsReplyError, hint_searches, read_reply

INDEXES = HintIndexes("iterqr-hints", "dishes", "title", "region", "orders")
NASTY = '"}]} OR *:* <|im_end|>'


def hit(score: float | None, *titles: tuple[str, int]) -> dict[str, Any]:
    return {"_score": score, "_source": {"titles": [{"title": t, "clicks": c, "clients": c} for t, c in titles]}}


def dish(title: str) -> dict[str, Any]:
    return {"_score": 3.0, "_source": {"title": title}}


def response(*hits: dict[str, Any]) -> dict[str, Any]:
    return {"hits": {"hits": list(hits)}, "status": 200}


FAILED = {"error": {"type": "parse_exception"}, "status": 400}


def test_a_query_is_only_ever_a_value() -> None:
    plain, nasty = (hint_searches(INDEXES, "north", query, 5, 50) for query in ("pad thai", NASTY))
    assert json.dumps(plain).replace("pad thai", "QUERY") == json.dumps(nasty).replace(json.dumps(NASTY)[1:-1], "QUERY")


def test_one_round_trip_of_up_to_three_searches() -> None:
    headers = [part["index"] for part in hint_searches(INDEXES, "north", "pho", 5, 50)[::2]]
    assert headers == ["iterqr-hints", "iterqr-hints", "dishes"]
    without_catalog = HintIndexes("iterqr-hints", "", "title", "region", "orders")
    assert len(hint_searches(without_catalog, "north", "pho", 5, 50)) == 4


def test_the_region_filters_every_search_and_no_region_none() -> None:
    filters = [json.dumps(body) for body in hint_searches(INDEXES, "north", "pho", 5, 50)[1::2]]
    assert all('{"term": {"region": "north"}}' in body for body in filters)
    assert not any('"term": {"region"' in json.dumps(body) for body in hint_searches(INDEXES, "", "pho", 5, 50))


def test_the_node_is_told_the_budget() -> None:
    assert {body["timeout"] for body in hint_searches(INDEXES, "north", "pho", 5, 35)[1::2]} == {"35ms"}


def test_exact_titles_come_first_and_alone() -> None:
    reply = {"responses": [response(hit(None, ("Pho Bo", 3), ("Pho Ga", 9))), response(hit(2.0, ("Ramen", 99)))]}
    hints = read_reply(reply, "title", 5, 1)
    assert hints.outcome is HintsOutcome.EXACT
    assert hints.titles == ("Pho Ga", "Pho Bo")


def test_nearest_queries_count_by_clicks_and_similarity() -> None:
    nearest = response(hit(4.0, ("Pho Bo", 10), ("Bun Cha", 2)), hit(1.0, ("Ramen", 20), ("Bun Cha", 40)))
    hints = read_reply({"responses": [response(), nearest, response(dish("Pho"))]}, "title", 2, 1)
    assert hints.outcome is HintsOutcome.NEAREST
    assert hints.titles == ("Bun Cha", "Pho Bo")


def test_catalog_titles_keep_their_order_without_duplicates() -> None:
    catalog = response(dish("Pho Bo"), dish("Pho Ga"), dish("Pho Bo"), dish("Banh Mi"))
    hints = read_reply({"responses": [response(), response(), catalog]}, "title", 3, 1)
    assert hints.outcome is HintsOutcome.CATALOG
    assert hints.titles == ("Pho Bo", "Pho Ga", "Banh Mi")


def test_nothing_found_is_an_outcome() -> None:
    hints = read_reply({"responses": [response(), response()]}, "title", 5, 1)
    assert (hints.titles, hints.outcome) == ((), HintsOutcome.NONE)


def test_one_search_may_fail() -> None:
    hints = read_reply({"responses": [FAILED, response(hit(1.0, ("Pho", 1)))]}, "title", 5, 1)
    assert hints.titles == ("Pho",)


@pytest.mark.parametrize(
    "entry", [None, "Pho", {"title": 7}, {"title": " "}, {"clicks": 3}, {"title": "Pho", "clicks": "many"}]
)
def test_malformed_titles_are_left_out(entry: object) -> None:
    source = {"_score": 1.0, "_source": {"titles": [entry, {"title": "Ramen", "clicks": 1, "clients": 1}]}}
    assert read_reply({"responses": [response(source), response()]}, "title", 5, 1).titles == ("Ramen",)


@pytest.mark.parametrize(
    "reply",
    [None, [], {}, {"responses": []}, {"responses": [FAILED, FAILED]}, {"responses": [{"hits": 3}]}],
)
def test_replies_that_make_no_sense(reply: object) -> None:
    with pytest.raises(HintsReplyError):
        read_reply(reply, "title", 5, 1)


def test_the_version_is_every_concrete_index_with_its_uuid() -> None:
    def settings(uuid: str) -> dict[str, Any]:
        return {"settings": {"index": {"uuid": uuid}}}

    assert read_version({}) == ""
    assert read_version({"hints-2": settings("ABCDEFGHIJ"), "hints-1": settings("12345678")}) == (
        "hints-1@12345678,hints-2@ABCDEFGH"
    )
    with pytest.raises(HintsReplyError):
        read_version({"hints-1": {}})


def test_titles_that_few_users_clicked_are_no_hints() -> None:
    reply = {"responses": [response(hit(1.0, ("Pho", 2), ("Ramen", 3), ("Udon", 4)))]}
    assert read_reply(reply, "title", 5, 3).titles == ("Udon", "Ramen")
    assert read_reply(reply, "title", 5, 5).titles == ()


@pytest.mark.parametrize("source", [None, 3, "Pho", ["Pho"]])
def test_a_hit_without_an_object_is_malformed(source: object) -> None:
    with pytest.raises(HintsReplyError):
        read_reply({"responses": [{"hits": {"hits": [{"_score": 1.0, "_source": source}]}}]}, "title", 5, 1)
