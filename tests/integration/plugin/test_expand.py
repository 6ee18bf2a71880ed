"""Mode expand: rewrites in the search's own query, for sorting, facets and deep pages."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from support.dish_catalog import REWRITES, TYPO
from support.plugin_search import PluginSearch, Response, channels, facts, hits, ids, match, outcome, without_ext
from support.scripted_service import answers, scripted_service

pytestmark = pytest.mark.node

TEXTS = REWRITES[TYPO]
BY_PRICE: dict[str, Any] = {"query": match(TYPO), "size": 50, "sort": [{"price": "desc"}, {"title.keyword": "asc"}]}
EXPAND = {"ext": {"iterqr": {"mode": "expand"}}}


def all_terms(text: str) -> dict[str, Any]:
    return {"match": {"title": {"query": text, "operator": "and"}}}


def matched(plugin: PluginSearch, query: dict[str, Any]) -> set[str]:
    return set(ids(plugin.plain({"query": query, "size": 100})))


def assert_untouched(plugin: PluginSearch, response: Response, body: dict[str, Any]) -> None:
    assert ids(response) == ids(plugin.plain(without_ext(body)))


def test_a_sorted_search_finds_what_the_original_or_all_words_of_a_rewrite_match(plugin: PluginSearch) -> None:
    response = plugin.search({**BY_PRICE, **EXPAND})
    assert outcome(response) == "expanded"
    by_channel = {
        "original": matched(plugin, match(TYPO)),
        **{text: matched(plugin, all_terms(text)) for text in TEXTS},
    }
    assert set(ids(response)) == set().union(*by_channel.values())
    assert len(by_channel["original"]) < len(ids(response))
    assert all(set(rewrite) == {"rewrite_id", "text", "confidence"} for rewrite in facts(response)["rewrites"])
    prices = [hit["_source"]["price"] for hit in hits(response)]
    assert prices == sorted(prices, reverse=True)
    for hit in hits(response):
        tags = channels(hit)
        assert {tag["name"] for tag in tags} == {"matched"}
        named = {tag.get("text", tag["channel"]) for tag in tags}
        assert named == {name for name, found in by_channel.items() if hit["_id"] in found}
        assert "matched_queries" not in hit


def test_facets_and_totals_count_the_rewrites_matches(plugin: PluginSearch) -> None:
    body = {"query": match(TYPO), "size": 0, "aggs": {"groups": {"terms": {"field": "group"}}}}
    response = plugin.search({**body, **EXPAND})
    assert outcome(response) == "expanded"
    groups = {bucket["key"] for bucket in response["aggregations"]["groups"]["buckets"]}
    assert groups == {"original-only", "both", "rewrite-only"}
    assert response["hits"]["total"]["value"] == 36


def test_filters_and_the_users_own_names_stay(plugin: PluginSearch) -> None:
    query = {
        "bool": {
            "must": [{"match": {"title": {"query": TYPO, "_name": "mine"}}}],
            "filter": [{"term": {"region": "south"}}],
        }
    }
    response = plugin.search({**BY_PRICE, "query": query, **EXPAND})
    assert outcome(response) == "expanded"
    assert {hit["_source"]["region"] for hit in hits(response)} == {"south"}
    named = {hit["_id"]: hit.get("matched_queries", []) for hit in hits(response)}
    own = matched(plugin, query)
    assert named == {identifier: ["mine"] if identifier in own else [] for identifier in named}
    assert set(named) > own


def test_deep_pages_keep_the_rewrites_of_the_first(plugin: PluginSearch) -> None:
    whole = ids(plugin.search({**BY_PRICE, **EXPAND}))
    body = {**BY_PRICE, "size": 7}
    with scripted_service(answers(*TEXTS)) as service, plugin.served_by(service.address):
        page = plugin.search({**body, **EXPAND})
        token = facts(page)["page_token"]
        seen = list(hits(page))
        while hits(page):
            ext = {"iterqr": {"mode": "expand", "page_token": token}}
            page = plugin.search({**body, "search_after": seen[-1]["sort"], "ext": ext})
            assert outcome(page) == "expanded"
            seen += hits(page)
        assert len(service.calls) == 1
    assert [hit["_id"] for hit in seen] == whole


def test_a_later_page_without_a_token_is_plain(plugin: PluginSearch) -> None:
    body = {**BY_PRICE, "size": 5, "from": 5}
    response = plugin.search({**body, **EXPAND})
    assert outcome(response) == "page_unpinned"
    assert_untouched(plugin, response, body)


def test_it_waits_no_longer_than_the_budget(plugin: PluginSearch) -> None:
    hold = threading.Event()

    def never(_request: pb.RewriteQueryRequest) -> bytes:
        hold.wait(20)
        return b""

    with scripted_service(never) as service, plugin.served_by(service.address):
        response = plugin.search({**BY_PRICE, "ext": {"iterqr": {"mode": "expand", "budget_ms": 60}}})
        hold.set()
    assert outcome(response) == "timeout"
    assert 40 <= facts(response)["timings"]["added_ms"] < 1_000
    assert_untouched(plugin, response, BY_PRICE)


@pytest.mark.parametrize(
    "query",
    [
        {"multi_match": {"query": "7", "fields": ["title", "price"]}},
        {"match": {"price": "7"}},
        {"match_phrase": {"price": "7"}},
        {"query_string": {"query": "7", "fields": ["title", "price"]}},
        {"simple_query_string": {"query": "7", "fields": ["title", "price"]}},
        {"match_bool_prefix": {"title": "7"}},
        {"match_phrase_prefix": {"title": {"query": "7", "slop": 1}}},
        {"combined_fields": {"query": "7", "fields": ["title", "description"]}},
        {"match": {"title": {"query": "7", "fuzziness": "AUTO", "minimum_should_match": "50%"}}},
    ],
    ids=str,
)
def test_a_rewrite_that_does_not_fit_a_field_fails_no_search(plugin: PluginSearch, query: dict[str, Any]) -> None:
    with scripted_service(answers("seven noodles", 'thai (AND "] ~')) as service, plugin.served_by(service.address):
        response = plugin.search({"query": query, "size": 50, **EXPAND})
    assert outcome(response) == "expanded"
    assert response["_shards"]["failed"] == 0
    assert set(ids(plugin.plain({"query": query, "size": 50}))) <= set(ids(response))


def test_a_search_without_text_is_passed_through(plugin: PluginSearch) -> None:
    body = {"query": {"match_all": {}}, "sort": [{"price": "asc"}]}
    response = plugin.search({**body, **EXPAND})
    assert outcome(response) == "skipped_no_text"


FACTOR = {"field_value_factor": {"field": "price", "missing": 1}}
NUMBERS = {"a": {"terms": {"script": {"source": "doc['price'].value"}}}}


@pytest.mark.parametrize(
    "extra",
    [
        {"query": {"function_score": {"query": match(TYPO), "functions": [FACTOR]}}},
        {"query": {"script_score": {"query": match(TYPO), "script": {"source": "_score"}}}},
        {"sort": [{"_script": {"type": "number", "script": {"source": "doc['price'].value"}}}]},
        {"aggs": NUMBERS},
    ],
    ids=["factor", "score", "sort", "aggregation"],
)
def test_a_search_that_scripts_could_fail_is_passed_through(plugin: PluginSearch, extra: dict[str, Any]) -> None:
    body = {"query": match(TYPO), "size": 5, **extra}
    response = plugin.search({**body, **EXPAND})
    assert outcome(response) == "skipped_script"
    assert_untouched(plugin, response, body)


def test_a_query_of_fields_it_does_not_name_is_passed_through(plugin: PluginSearch) -> None:
    body = {"query": {"simple_query_string": {"query": TYPO}}, "size": 5}
    response = plugin.search({**body, **EXPAND})
    assert outcome(response) == "skipped_clauses"
    assert_untouched(plugin, response, body)
