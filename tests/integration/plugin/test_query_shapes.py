"""The rewrites' searches have the shape of the user's query, only its text replaced."""

from __future__ import annotations

from typing import Any

import pytest
from support.dish_catalog import REWRITES, TYPO
from support.fusion_oracle import channel_windows, fused_scores
from support.plugin_search import PluginSearch, channel_names, facts, hits, match, outcome

pytestmark = pytest.mark.node

SHAPES: dict[str, dict[str, Any]] = {
    "match": match(TYPO),
    "match with options": {"match": {"title": {"query": TYPO, "boost": 2.0, "minimum_should_match": 1}}},
    "match, all words": {"match": {"title": {"query": TYPO, "operator": "and"}}},
    "match_phrase": {"match_phrase": {"title": {"query": TYPO, "slop": 1}}},
    "match_phrase_prefix": {"match_phrase_prefix": {"title": TYPO}},
    "match_bool_prefix": {"match_bool_prefix": {"title": {"query": TYPO}}},
    "multi_match": {"multi_match": {"query": TYPO, "fields": ["title^3", "description"]}},
    "multi_match, most fields": {
        "multi_match": {"query": TYPO, "fields": ["title", "description"], "type": "most_fields"},
    },
    "combined_fields": {"combined_fields": {"query": TYPO, "fields": ["title", "description"]}},
    "query_string": {"query_string": {"query": TYPO, "default_field": "title"}},
    "simple_query_string": {"simple_query_string": {"query": TYPO, "fields": ["title"]}},
    "bool must and filter": {"bool": {"must": [match(TYPO)], "filter": {"range": {"price": {"gte": 2}}}}},
    "bool should with a boost": {
        "bool": {"must": match(TYPO), "should": [{"term": {"region": {"value": "south", "boost": 3}}}]},
    },
    "bool must_not": {"bool": {"must": [match(TYPO)], "must_not": [{"term": {"price": 0}}]}},
    "bool in bool": {"bool": {"must": [{"bool": {"should": [match(TYPO), {"match_phrase": {"title": TYPO}}]}}]}},
    "dis_max": {"dis_max": {"queries": [match(TYPO), {"match": {"description": TYPO}}], "tie_breaker": 0.3}},
    "boosting": {
        "boosting": {"positive": match(TYPO), "negative": {"term": {"region": "north"}}, "negative_boost": 0.3},
    },
    "function_score": {
        "function_score": {
            "query": match(TYPO),
            "functions": [{"filter": {"range": {"price": {"gte": 5}}}, "weight": 2}],
        }
    },
    "script_score": {"script_score": {"query": match(TYPO), "script": {"source": "_score + doc['price'].value"}}},
}


@pytest.mark.parametrize("name", SHAPES)
def test_shape_is_kept(plugin: PluginSearch, name: str) -> None:
    body = {"query": SHAPES[name], "size": 40}
    windows = channel_windows(plugin, body, TYPO, REWRITES[TYPO])
    assert windows["pad thai"], "the shape retrieves nothing, so nothing is shown"
    expected = fused_scores(windows)
    response = plugin.search(body)
    assert outcome(response) == "fused"
    ranked = sorted(expected.values(), reverse=True)[:40]
    assert [hit["_score"] for hit in hits(response)] == pytest.approx(ranked)
    for hit in hits(response):
        assert set(channel_names(hit)) == {channel for channel, found in windows.items() if hit["_id"] in found}


def test_rescoring_is_kept(plugin: PluginSearch) -> None:
    rescore = {"window_size": 20, "query": {"rescore_query": {"match_phrase": {"title": TYPO}}}}
    body = {"query": match(TYPO), "rescore": rescore, "size": 40}
    windows = channel_windows(plugin, body, TYPO, REWRITES[TYPO])
    response = plugin.search(body)
    assert outcome(response) == "fused"
    ranked = sorted(fused_scores(windows).values(), reverse=True)[:40]
    assert [hit["_score"] for hit in hits(response)] == pytest.approx(ranked)


def test_uri_search_is_served(plugin: PluginSearch) -> None:
    response = plugin.client.transport.perform_request(
        "GET",
        f"/{plugin.index}/_search",
        params={"q": TYPO, "df": "title", "size": "40", "search_pipeline": plugin.pipeline},
    )
    assert outcome(response) == "fused"
    assert any("original" not in channel_names(hit) for hit in hits(response))


TWO_TEXTS = {"bool": {"should": [match(TYPO), {"match": {"description": "special"}}]}}


def test_two_texts_are_no_users_text(plugin: PluginSearch) -> None:
    assert outcome(plugin.search({"query": TWO_TEXTS})) == "skipped_no_text"


def test_the_request_can_say_which_text_is_the_users(plugin: PluginSearch) -> None:
    body = {"query": TWO_TEXTS, "size": 40}
    windows = channel_windows(plugin, body, TYPO, REWRITES[TYPO])
    response = plugin.search({**body, "ext": {"iterqr": {"query": TYPO}}})
    assert outcome(response) == "fused"
    assert facts(response)["query"] == TYPO
    ranked = sorted(fused_scores(windows).values(), reverse=True)[:40]
    assert [hit["_score"] for hit in hits(response)] == pytest.approx(ranked)


def test_the_text_of_a_filter_is_no_users_text(plugin: PluginSearch) -> None:
    body = {"query": {"bool": {"filter": [match(TYPO)]}}}
    assert outcome(plugin.search(body)) == "skipped_no_text"


def test_a_rewrite_leaves_the_text_of_filters_alone(plugin: PluginSearch) -> None:
    body = {"query": {"bool": {"must": [match(TYPO)], "filter": [match("pad")]}}, "size": 40}
    response = plugin.search(body)
    assert outcome(response) == "fused"
    assert all("pad" in hit["_source"]["title"] for hit in hits(response))
    assert any("thai noodles" in channel_names(hit) for hit in hits(response))
