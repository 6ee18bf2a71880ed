"""Requests that fused searches do not serve: the plain response, and why."""

from __future__ import annotations

from typing import Any

import pytest
from support.cluster_settings import cluster_settings
from support.dish_catalog import TYPO
from support.plugin_search import (
    PluginSearch,
    Response,
    assert_plain_hits,
    channels,
    facts,
    hits,
    ids,
    match,
    outcome,
    untagged,
)

pytestmark = pytest.mark.node

QUERY = {"query": match(TYPO)}

PASSED_THROUGH: dict[str, tuple[dict[str, Any], str]] = {
    "sorted by a field": ({**QUERY, "sort": [{"price": "desc"}]}, "skipped_sort"),
    "sorted by score, then a field": ({**QUERY, "sort": ["_score", "price"]}, "skipped_sort"),
    "collapsed": ({**QUERY, "collapse": {"field": "group"}}, "skipped_collapse"),
    "min_score": ({**QUERY, "min_score": 0.5}, "skipped_min_score"),
    "size 0": ({**QUERY, "size": 0, "aggs": {"n": {"value_count": {"field": "price"}}}}, "skipped_size_zero"),
    "suggest only": ({"suggest": {"s": {"text": "noodels", "term": {"field": "title"}}}}, "skipped_suggest_only"),
    "past the window": ({**QUERY, "from": 45, "size": 10}, "skipped_past_window"),
    "larger than the window": ({**QUERY, "size": 51}, "skipped_past_window"),
    "match all": ({"query": {"match_all": {}}}, "skipped_no_text"),
    "filters only": ({"query": {"bool": {"filter": [{"term": {"group": "both"}}]}}}, "skipped_no_text"),
    "no query": ({"size": 3}, "skipped_no_text"),
    "later page without a token": ({**QUERY, "from": 10}, "page_unpinned"),
}  # fmt: skip


def assert_same_response(response: Response, plain: Response) -> None:
    """All but the time taken, our own section and our tag is the plain response's; the tag names the original only."""
    bare = {**response, "took": 0, "ext": {}}
    if "hits" in response:
        bare["hits"] = {**response["hits"], "hits": [untagged(hit) for hit in hits(response)]}
        assert_tagged_as_original(response)
    assert bare == {**plain, "took": 0, "ext": {}}


def assert_tagged_as_original(response: Response) -> None:
    """Where the rank in the original's window is known, it is told."""
    for hit in hits(response):
        if "iterqr_channels" in hit.get("fields", {}):
            assert [channel["name"] for channel in channels(hit)] == ["original"]


@pytest.mark.parametrize("name", PASSED_THROUGH)
def test_passes_through(plugin: PluginSearch, name: str) -> None:
    body, expected = PASSED_THROUGH[name]
    counted = plugin.counted(expected)
    response = plugin.search(body)
    assert outcome(response) == expected
    assert plugin.counted(expected) == counted + 1
    assert_same_response(response, plugin.plain(body))
    assert facts(response)["rewrites"] == []


def test_sorting_by_score_alone_is_served(plugin: PluginSearch) -> None:
    assert outcome(plugin.search({**QUERY, "sort": ["_score"]})) == "fused"


def test_the_last_page_inside_the_window_is_served(plugin: PluginSearch) -> None:
    assert outcome(plugin.search({**QUERY, "size": 50})) == "fused"


def test_passes_search_after_through(plugin: PluginSearch) -> None:
    body = {**QUERY, "sort": [{"_score": "desc"}, {"title.keyword": "asc"}], "size": 3}
    last = hits(plugin.plain(body))[-1]["sort"]
    response = plugin.search({**body, "search_after": last})
    assert outcome(response) == "skipped_search_after"
    assert_same_response(response, plugin.plain({**body, "search_after": last}))


def test_passes_scroll_through(plugin: PluginSearch) -> None:
    counted = plugin.counted("skipped_scroll")
    response = plugin.search({**QUERY, "size": 5}, scroll="1m")
    plain = plugin.plain({**QUERY, "size": 5}, scroll="1m")
    assert plugin.counted("skipped_scroll") == counted + 1
    assert hits(response) == hits(plain)
    next_page = plugin.client.scroll(scroll_id=response["_scroll_id"], scroll="1m")
    next_plain = plugin.client.scroll(scroll_id=plain["_scroll_id"], scroll="1m")
    assert hits(next_page) == hits(next_plain)
    assert len(hits(next_page)) == 5


def test_passes_a_point_in_time_through(plugin: PluginSearch) -> None:
    pit = plugin.client.create_pit(index=plugin.index, params={"keep_alive": "1m"})["pit_id"]
    try:
        body = {**QUERY, "pit": {"id": pit, "keep_alive": "1m"}}
        counted = plugin.counted("skipped_pit")
        response = plugin.client.search(body=body, params={"search_pipeline": plugin.pipeline})
        assert outcome(response) == "skipped_pit"
        assert plugin.counted("skipped_pit") == counted + 1
        assert_same_response(response, plugin.client.search(body=body, params={"search_pipeline": "_none"}))
        assert facts(response)["rewrites"] == []
    finally:
        plugin.client.delete_pit(body={"pit_id": [pit]})


def test_passes_indices_of_other_clusters_through(plugin: PluginSearch) -> None:
    """Here the other cluster is the node itself."""
    transport = plugin.client.nodes.info(metric="transport")["nodes"].popitem()[1]["transport"]["publish_address"]
    with cluster_settings(plugin.client, {"cluster.remote.mirror.seeds": [transport]}):
        for index in (f"mirror:{plugin.index}", f"{plugin.index},mir*:{plugin.index}"):
            for minimize in ("true", "false"):
                response = plugin.search(QUERY, index=index, ccs_minimize_roundtrips=minimize)
                plain = plugin.plain(QUERY, index=index, ccs_minimize_roundtrips=minimize)
                assert outcome(response) == "skipped_ccs"
                assert ids(response) == ids(plain)
                assert response["_clusters"] == plain["_clusters"]


def test_a_point_in_time_is_expanded(plugin: PluginSearch) -> None:
    """Deep pages by search_after go with one, and nothing but the search itself is searched."""
    expand = plugin.create_pipeline({"mode": "expand"})
    pit = plugin.client.create_pit(index=plugin.index, params={"keep_alive": "1m"})["pit_id"]
    try:
        body = {**QUERY, "pit": {"id": pit, "keep_alive": "1m"}, "sort": [{"price": "desc"}]}
        assert outcome(plugin.client.search(body=body, params={"search_pipeline": expand})) == "expanded"
    finally:
        plugin.client.delete_pit(body={"pit_id": [pit]})


def test_a_token_of_another_query_pins_nothing(plugin: PluginSearch) -> None:
    token = facts(plugin.search(QUERY))["page_token"]
    body = {"query": match("pad"), "from": 10, "ext": {"iterqr": {"page_token": token}}}
    response = plugin.search(body)
    assert outcome(response) == "page_unpinned"
    assert_plain_hits(response, plugin.plain(body), start=10)


def test_a_torn_token_pins_nothing(plugin: PluginSearch) -> None:
    token = facts(plugin.search(QUERY))["page_token"]
    body = {**QUERY, "from": 10, "ext": {"iterqr": {"page_token": token[:-10]}}}
    response = plugin.search(body)
    assert outcome(response) == "page_unpinned"
    assert_plain_hits(response, plugin.plain(body), start=10)


@pytest.mark.parametrize("token", ["", "a" * 20_000, "\u0000", "{}", "AAAA====", "../../etc/passwd"])
def test_a_token_that_is_none_never_fails_a_search(plugin: PluginSearch, token: str) -> None:
    body = {**QUERY, "from": 10, "ext": {"iterqr": {"page_token": token}}}
    response = plugin.search(body)
    assert outcome(response) == "page_unpinned"
    assert_plain_hits(response, plugin.plain(body), start=10)
