"""Several shards, indices and aliases; documents that change while a search runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from support.dish_catalog import BOTH, NOODLES, ORIGINAL_ONLY, OTHER, REWRITE_ONLY, REWRITES, TYPO, index_dishes
from support.fusion_oracle import channel_windows, fused_scores
from support.plugin_search import PluginSearch, channel_names, channels, eventually, hits, ids, match, outcome
from support.scripted_service import reply, scripted_service

pytestmark = pytest.mark.node

BODY = {"query": match(TYPO), "size": 40}
TEXTS = REWRITES[TYPO]


def assert_fused_exactly(plugin: PluginSearch, index: str, body: dict[str, Any] = BODY) -> list[dict[str, Any]]:
    """Tags, scores and order are what the channels' windows, searched one by one, say."""
    windows = channel_windows(plugin, body, TYPO, TEXTS, index=index)
    expected = fused_scores(windows)
    response = plugin.search(body, index=index)
    assert outcome(response) == "fused"
    ranked = sorted(expected.values(), reverse=True)[: body["size"]]
    assert [hit["_score"] for hit in hits(response)] == pytest.approx(ranked)
    for hit in hits(response):
        assert hit["_score"] == pytest.approx(expected[hit["_id"]])
        ranks = {channel.get("text", "original"): channel["rank"] for channel in channels(hit)}
        assert ranks == {name: found[hit["_id"]].rank for name, found in windows.items() if hit["_id"] in found}
    return hits(response)


@pytest.mark.parametrize("shards", [2, 5])
def test_several_shards(plugin: PluginSearch, shards: int) -> None:
    """Sequence numbers repeat from shard to shard; hits must not be mixed up."""
    index = plugin.node.unique_name("shards")
    index_dishes(plugin.client, index, shards=shards)
    found = assert_fused_exactly(plugin, index)
    assert all(hit["_source"]["title"].startswith(("pad", "thai", "noodles")) for hit in found)


def test_several_indices(plugin: PluginSearch) -> None:
    first, second = plugin.node.unique_name("first"), plugin.node.unique_name("second")
    index_dishes(plugin.client, first, groups=(ORIGINAL_ONLY, BOTH))
    index_dishes(plugin.client, second, groups=(REWRITE_ONLY, NOODLES), shards=2)
    found = assert_fused_exactly(plugin, f"{first},{second}")
    assert {hit["_index"] for hit in found} == {first, second}


def test_indices_boost_holds_for_rewrites(plugin: PluginSearch) -> None:
    first, second = plugin.node.unique_name("first"), plugin.node.unique_name("second")
    index_dishes(plugin.client, first, groups=(ORIGINAL_ONLY, REWRITE_ONLY))
    index_dishes(plugin.client, second, groups=(BOTH, NOODLES))
    assert_fused_exactly(plugin, f"{first},{second}", {**BODY, "indices_boost": [{second: 5.0}]})


def test_same_id_in_two_indices_is_two_documents(plugin: PluginSearch) -> None:
    first, second = plugin.node.unique_name("first"), plugin.node.unique_name("second")
    for index in (first, second):
        index_dishes(plugin.client, index, groups=(BOTH,))
    response = plugin.search(BODY, index=f"{first},{second}")
    assert outcome(response) == "fused"
    documents = [(hit["_index"], hit["_id"]) for hit in hits(response)]
    assert len(documents) == len(set(documents)) == 24


def test_an_alias_with_a_filter(plugin: PluginSearch) -> None:
    index, alias = plugin.node.unique_name("filtered"), plugin.node.unique_name("alias")
    index_dishes(plugin.client, index)
    plugin.client.indices.put_alias(index=index, name=alias, body={"filter": {"term": {"region": "north"}}})
    found = assert_fused_exactly(plugin, alias)
    assert {hit["_source"]["region"] for hit in found} == {"north"}
    assert any("original" not in channel_names(hit) for hit in found)


def test_an_alias_with_routing(plugin: PluginSearch) -> None:
    index, alias = plugin.node.unique_name("routed"), plugin.node.unique_name("alias")
    index_dishes(plugin.client, index, shards=4, route_by_region=True)
    alias_body = {"routing": "north", "filter": {"term": {"region": "north"}}}
    plugin.client.indices.put_alias(index=index, name=alias, body=alias_body)
    assert_fused_exactly(plugin, alias)


def test_a_wildcard(plugin: PluginSearch) -> None:
    prefix = plugin.node.unique_name("wild")
    index_dishes(plugin.client, f"{prefix}-a", groups=(ORIGINAL_ONLY, OTHER))
    index_dishes(plugin.client, f"{prefix}-b", groups=(REWRITE_ONLY,))
    assert_fused_exactly(plugin, f"{prefix}-*")


def test_an_index_that_is_not_there_fails_as_it_would(plugin: PluginSearch) -> None:
    missing = plugin.node.unique_name("missing")
    allowed = plugin.search(BODY, index=f"{plugin.index},{missing}", ignore_unavailable="true")
    assert outcome(allowed) == "fused"
    assert len(hits(allowed)) == 40


class ChangeWhileRewriting:
    """A rewrite server that changes the index before it answers, when the original's search is over.

    So the windows see other documents than the plain response does.
    """

    def __init__(self, plugin: PluginSearch, index: str) -> None:
        self.plugin = plugin
        self.index = index
        self.searches_before = self.searches()

    def searches(self) -> int:
        stats = self.plugin.client.indices.stats(index=self.index, metric="search")
        count: int = stats["_all"]["total"]["search"]["fetch_total"]
        return count

    def __call__(self, _request: pb.RewriteQueryRequest) -> bytes:
        eventually(lambda: self.searches() > self.searches_before, timeout_s=2)
        self.change()
        return reply(*TEXTS).SerializeToString()

    def change(self) -> None:
        client = self.plugin.client
        client.delete(index=self.index, id=f"{BOTH}-0")
        client.delete(index=self.index, id=f"{ORIGINAL_ONLY}-0")
        client.update(index=self.index, id=f"{BOTH}-1", body={"doc": {"price": 99}})
        client.update(index=self.index, id=f"{NOODLES}-0", body={"doc": {"title": "pizza again"}})
        client.indices.refresh(index=self.index)


def test_documents_that_change_while_the_query_is_rewritten(plugin: PluginSearch) -> None:
    index = plugin.node.unique_name("changing")
    index_dishes(plugin.client, index)
    patient = plugin.create_pipeline({"budget_ms": 10_000})
    with scripted_service(ChangeWhileRewriting(plugin, index)) as service, plugin.served_by(service.address):
        response = plugin.search({**BODY, "size": 20}, index=index, pipeline=patient)
    assert outcome(response) == "fused"
    assert len(hits(response)) == 20
    assert len(set(ids(response))) == 20, "an updated document is shown once"
    assert f"{BOTH}-0" not in ids(response)
    assert f"{ORIGINAL_ONLY}-0" not in ids(response)
    assert f"{NOODLES}-0" not in ids(response)
    updated = next(hit for hit in hits(response) if hit["_id"] == f"{BOTH}-1")
    assert updated["_source"]["price"] == 99
    assert all(channels(hit) for hit in hits(response))


def test_searches_while_documents_change_all_the_time(plugin: PluginSearch) -> None:
    """No search fails, shows a document twice, or leaves a hit untagged."""
    index = plugin.node.unique_name("churning")
    index_dishes(plugin.client, index, shards=2)
    over = False

    def churn() -> int:
        turns = 0
        while not over:
            for number in range(12):
                for group in (BOTH, REWRITE_ONLY):
                    plugin.client.update(index=index, id=f"{group}-{number}", body={"doc": {"price": turns}})
            plugin.client.indices.refresh(index=index)
            turns += 1
        return turns

    with ThreadPoolExecutor(max_workers=1) as pool:
        churning = pool.submit(churn)
        try:
            outcomes = []
            for _ in range(40):
                response = plugin.search({**BODY, "size": 20}, index=index)
                outcomes.append(outcome(response))
                assert len(set(ids(response))) == len(hits(response))
                if outcomes[-1] == "fused":
                    assert all(channels(hit) for hit in hits(response))
        finally:
            over = True
        assert churning.result() > 0
    assert set(outcomes) <= {"fused", "windows_failed"}
    assert outcomes.count("fused") > 30
