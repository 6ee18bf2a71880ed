"""Request features that fused searches serve, the rewrites' hits included."""

from __future__ import annotations

from typing import Any

import pytest
from support.dish_catalog import BOTH, NOODLES, ORIGINAL_ONLY, REWRITE_ONLY, REWRITES, TYPO, index_dishes
from support.fusion_oracle import channel_windows
from support.plugin_search import PluginSearch, channel_names, facts, hits, ids, match, outcome, untagged

pytestmark = pytest.mark.node

TEXTS = REWRITES[TYPO]


def from_rewrites_only(response: dict[str, Any]) -> list[dict[str, Any]]:
    found = [hit for hit in hits(response) if "original" not in channel_names(hit)]
    assert found, "no hit comes from the rewrites alone, so nothing is shown"
    return found


def test_filters_hold_for_rewrites(plugin: PluginSearch) -> None:
    wanted = {
        "bool": {"must": [match(TYPO)], "filter": [{"range": {"price": {"lte": 3}}}, {"term": {"region": "south"}}]}
    }
    response = plugin.search({"query": wanted, "size": 40})
    assert outcome(response) == "fused"
    from_rewrites_only(response)
    assert {(hit["_source"]["price"], hit["_source"]["region"]) for hit in hits(response)} == {
        (1, "south"),
        (3, "south"),
    }


def test_post_filter_holds_for_rewrites(plugin: PluginSearch) -> None:
    response = plugin.search({"query": match(TYPO), "post_filter": {"term": {"price": 2}}, "size": 40})
    assert outcome(response) == "fused"
    from_rewrites_only(response)
    assert {hit["_source"]["price"] for hit in hits(response)} == {2}


def test_highlights_come_from_the_query_that_retrieved_the_hit(plugin: PluginSearch) -> None:
    response = plugin.search({"query": match(TYPO), "highlight": {"fields": {"title": {}}}, "size": 40})
    for hit in from_rewrites_only(response):
        assert "<em>thai</em>" in hit["highlight"]["title"][0] or "<em>noodles</em>" in hit["highlight"]["title"][0]
    original = next(hit for hit in hits(response) if hit["_id"] == f"{ORIGINAL_ONLY}-0")
    assert "<em>pad</em>" in original["highlight"]["title"][0]


@pytest.mark.parametrize("source", [False, ["title"], {"includes": ["title", "price"], "excludes": ["pri*"]}])
def test_source_filtering_holds_for_rewrites(plugin: PluginSearch, source: object) -> None:
    response = plugin.search({"query": match(TYPO), "_source": source, "size": 40})
    assert outcome(response) == "fused"
    from_rewrites_only(response)
    shown = {tuple(hit["_source"]) if "_source" in hit else None for hit in hits(response)}
    assert shown == ({None} if source is False else {("title",)})


def test_fields_are_fetched_for_rewrites_and_keep_company_with_the_tag(plugin: PluginSearch) -> None:
    body = {
        "query": match(TYPO),
        "fields": ["price"],
        "docvalue_fields": ["region"],
        "stored_fields": ["chef"],
        "script_fields": {"double_price": {"script": "doc['price'].value * 2"}},
        "size": 40,
    }
    response = plugin.search(body)
    assert outcome(response) == "fused"
    for hit in from_rewrites_only(response):
        number = int(hit["_id"].rpartition("-")[2])
        assert untagged(hit)["fields"] == {
            "price": [number],
            "double_price": [2 * number],
            "region": ["north" if number % 2 == 0 else "south"],
            "chef": [f"chef {number}"],
        }


def test_version_and_sequence_number_are_fetched_for_rewrites(plugin: PluginSearch) -> None:
    response = plugin.search({"query": match(TYPO), "version": True, "seq_no_primary_term": True, "size": 40})
    for hit in from_rewrites_only(response):
        assert (hit["_version"], hit["_primary_term"]) == (1, 1)
        assert hit["_seq_no"] >= 0


def test_named_queries_are_told_for_rewrites(plugin: PluginSearch) -> None:
    named = {"match": {"title": {"query": TYPO, "_name": "the title"}}}
    response = plugin.search({"query": named, "size": 40})
    assert outcome(response) == "fused"
    for hit in from_rewrites_only(response):
        assert hit["matched_queries"] == ["the title"]


def test_hits_are_whole(plugin: PluginSearch) -> None:
    """A hit fetched for the page has all that a hit of the plain search has."""
    response = plugin.search({"query": match(TYPO), "size": 40})
    plain = {hit["_id"]: hit for hit in hits(plugin.plain({"query": match("pad thai noodles"), "size": 60}))}
    for hit in hits(response):
        assert {**untagged(hit), "_score": 0} == {**plain[hit["_id"]], "_score": 0}


def test_routing_holds_for_rewrites(plugin: PluginSearch) -> None:
    index = plugin.node.unique_name("routed")
    index_dishes(plugin.client, index, shards=4, route_by_region=True)
    regions = {}
    for region in ("north", "south"):
        response = plugin.search({"query": match(TYPO), "size": 50}, index=index, routing=region)
        assert outcome(response) == "fused"
        from_rewrites_only(response)
        regions[region] = {hit["_source"]["region"] for hit in hits(response)}
        assert response["_shards"]["total"] == 1
    assert regions == {"north": {"north"}, "south": {"south"}}


def test_aggregations_and_totals_are_those_of_the_original(plugin: PluginSearch) -> None:
    body = {
        "query": match(TYPO),
        "aggs": {"groups": {"terms": {"field": "group"}}, "cheapest": {"min": {"field": "price"}}},
        "track_total_hits": True,
        "size": 40,
    }
    response = plugin.search(body)
    plain = plugin.plain(body)
    assert outcome(response) == "fused"
    assert len(hits(response)) > len(hits(plain))
    assert response["aggregations"] == plain["aggregations"]
    assert response["hits"]["total"] == plain["hits"]["total"] == {"value": 24, "relation": "eq"}


def test_totals_stay_off_where_they_were_off(plugin: PluginSearch) -> None:
    response = plugin.search({"query": match(TYPO), "track_total_hits": False})
    assert outcome(response) == "fused"
    assert "total" not in response["hits"]


def test_suggestions_come_along(plugin: PluginSearch) -> None:
    body = {"query": match(TYPO), "suggest": {"spelling": {"text": "noodels", "term": {"field": "title"}}}}
    response = plugin.search(body)
    assert outcome(response) == "fused"
    assert response["suggest"] == plugin.plain(body)["suggest"]
    assert response["suggest"]["spelling"][0]["options"][0]["text"] == "noodles"


def test_pages_neither_repeat_nor_lose_a_document(plugin: PluginSearch) -> None:
    pipeline = plugin.create_pipeline({"window_size": 50})
    body = {"query": match(TYPO), "size": 7}
    first = plugin.search(body, pipeline=pipeline)
    token = facts(first)["page_token"]
    seen = ids(first)
    for start in range(7, 50, 7):
        size = min(7, 50 - start)
        page = plugin.search(
            {**body, "from": start, "size": size, "ext": {"iterqr": {"page_token": token}}}, pipeline=pipeline
        )
        assert outcome(page) == "fused", start
        assert facts(page)["rewrites"] == facts(first)["rewrites"] or [
            (each["rewrite_id"], each["text"]) for each in facts(page)["rewrites"]
        ] == [(each["rewrite_id"], each["text"]) for each in facts(first)["rewrites"]]
        seen += ids(page)
    windows = channel_windows(plugin, body, TYPO, TEXTS)
    union = {identifier for documents in windows.values() for identifier in documents}
    assert len(seen) == len(set(seen))
    assert set(seen) == union


def test_a_page_equals_its_part_of_the_whole(plugin: PluginSearch) -> None:
    body = {"query": match(TYPO)}
    whole = plugin.search({**body, "size": 40})
    ext = {"iterqr": {"page_token": facts(whole)["page_token"]}}
    page = plugin.search({**body, "from": 10, "size": 10, "ext": ext})
    assert [untagged(hit) for hit in hits(page)] == [untagged(hit) for hit in hits(whole)[10:20]]


def test_a_page_past_the_last_document_is_empty(plugin: PluginSearch) -> None:
    body = {"query": match("tai nodels"), "size": 10}
    first = plugin.search(body)
    ext = {"iterqr": {"page_token": facts(first)["page_token"]}}
    page = plugin.search({**body, "from": 39, "ext": ext})
    assert outcome(page) == "fused"
    assert ids(page) == []


def test_boosts_hold_for_rewrites(plugin: PluginSearch) -> None:
    """The rewrites' searches keep the user's scoring: here the price decides."""
    by_price = {
        "function_score": {
            "query": match(TYPO),
            "field_value_factor": {"field": "price", "factor": 10, "missing": 0},
            "boost_mode": "replace",
        }
    }
    response = plugin.search({"query": by_price, "size": 40})
    assert outcome(response) == "fused"
    prices = [hit["_source"]["price"] for hit in hits(response) if channel_names(hit) == ["thai noodles"]]
    assert len(prices) >= 5
    assert prices == sorted(prices, reverse=True)


@pytest.mark.parametrize("name", ["preference", "search_type"])
def test_url_parameters_come_along(plugin: PluginSearch, name: str) -> None:
    value = {"preference": "_local", "search_type": "dfs_query_then_fetch"}[name]
    response = plugin.search({"query": match(TYPO), "size": 40}, **{name: value})
    assert outcome(response) == "fused"
    assert {hit["_source"]["group"] for hit in from_rewrites_only(response)} == {REWRITE_ONLY, NOODLES}
    assert f"{BOTH}-0" in ids(response)
