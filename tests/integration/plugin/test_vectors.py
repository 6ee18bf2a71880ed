"""Beside the k-NN plugin: the user's vector belongs to the user's text, not to its rewrites."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opensearchpy.helpers import bulk
from support.opensearch_node import RunningNode
from support.plugin_search import (
    PluginSearch,
    channel_names,
    channels,
    facts,
    hits,
    ids,
    match,
    outcome,
    set_endpoint,
)
from support.scripted_service import answers, scripted_service

pytestmark = pytest.mark.node

TITLES = {"near": "pizza", "far": "burger", "word": "pad krapow", "rewrite": "thai curry"}
VECTORS = {"near": [1.0, 0.0], "far": [-1.0, 0.0], "word": [-0.9, 0.1], "rewrite": [-0.8, 0.2]}


@pytest.fixture(scope="module")
def vectors(knn_node: RunningNode) -> Iterator[PluginSearch]:
    index = knn_node.unique_name("vectors")
    method = {"name": "hnsw", "engine": "lucene", "space_type": "l2"}
    embedding = {"type": "knn_vector", "dimension": 2, "method": method}
    knn_node.client.indices.create(
        index=index,
        body={
            "settings": {"index": {"knn": True, "number_of_replicas": 0}},
            "mappings": {"properties": {"title": {"type": "text"}, "embedding": embedding}},
        },
    )
    documents: Iterator[dict[str, Any]] = (
        {"_index": index, "_id": name, "title": title, "embedding": VECTORS[name]} for name, title in TITLES.items()
    )
    bulk(knn_node.client, documents, refresh=True)
    search = PluginSearch(knn_node, index, "")
    with scripted_service(answers("thai food")) as service:
        set_endpoint(knn_node.client, service.address)
        yield PluginSearch(knn_node, index, search.create_pipeline())
        set_endpoint(knn_node.client, None)


def test_a_rewrite_does_not_search_with_the_users_vector(vectors: PluginSearch) -> None:
    nearest = {"knn": {"embedding": {"vector": [1.0, 0.0], "k": 1}}}
    body = {"query": {"bool": {"should": [match("pad tai"), nearest]}}}
    response = vectors.search(body)
    assert outcome(response) == "fused"
    by_id = {hit["_id"]: channel_names(hit) for hit in hits(response)}
    assert by_id == {"near": ["original"], "word": ["original"], "rewrite": ["thai food"]}


def named(k: int, name: str = "embedding") -> dict[str, Any]:
    return {"knn": {"embedding": {"vector": [1.0, 0.0], "k": k, "_name": name}}}


def test_a_named_vector_clause_is_a_sub_channel(vectors: PluginSearch) -> None:
    body = {"query": {"bool": {"should": [match("pad tai"), named(1)]}}}
    response = vectors.search(body)
    assert outcome(response) == "fused"
    by_id = {hit["_id"]: channel_names(hit) for hit in hits(response)}
    assert by_id == {"near": ["original", "original/embedding"], "word": ["original"], "rewrite": ["thai food"]}
    (tag,) = (tag for hit in hits(response) for tag in channels(hit) if tag["name"] == "original/embedding")
    assert tag["rank"] == 1
    assert tag["score"] == pytest.approx(1.0)
    assert tag["contribution"] == 0
    assert facts(response)["fusion"]["sub_channels"] == {"original/embedding": 1}


def test_a_document_of_the_clause_alone_is_not_a_rewrites_alone(vectors: PluginSearch) -> None:
    """It lies outside the original's window but inside its clause's, so the rewrite did not bring it by itself."""
    clause = {"knn": {"embedding": {"vector": VECTORS["rewrite"], "k": 4, "_name": "embedding"}}}
    body = {"query": {"bool": {"should": [match("pad krapow"), clause]}}}
    rewrites_first = vectors.create_pipeline(response={"rewrite_weight": 3})
    first = vectors.search({**body, "size": 1, "ext": {"iterqr": {"window_size": 1}}}, pipeline=rewrites_first)
    assert facts(first)["fusion"]["sub_channels"] == {"original/embedding": 1}
    assert {hit["_id"]: channel_names(hit) for hit in hits(first)} == {"rewrite": ["original/embedding", "thai food"]}
    wide = vectors.search({**body, "size": 4, "ext": {"iterqr": {"window_size": 4}}})
    by_id = {hit["_id"]: channel_names(hit) for hit in hits(wide)}
    assert by_id["rewrite"] == ["original", "original/embedding", "thai food"]
    assert "original/embedding" in by_id["far"]


def test_the_clauses_window_is_under_the_querys_filters(vectors: PluginSearch) -> None:
    query = {"bool": {"should": [match("pad tai"), named(4)], "must_not": [match("burger")]}}
    response = vectors.search({"query": query})
    by_id = {hit["_id"]: channel_names(hit) for hit in hits(response)}
    assert set(by_id) == {"near", "word", "rewrite"}
    assert facts(response)["fusion"]["sub_channels"] == {"original/embedding": 3}
    assert all("original/embedding" in names for names in by_id.values())


@pytest.mark.parametrize("strategy", ["append", "interleave"])
def test_sub_channels_add_no_document_and_no_score(vectors: PluginSearch, strategy: str) -> None:
    body = {"query": {"bool": {"should": [match("pad tai"), named(2)]}}, "ext": {"iterqr": {"fusion": strategy}}}
    response = vectors.search(body)
    assert outcome(response) == "fused"
    for hit in hits(response):
        assert sum(tag["contribution"] for tag in channels(hit)) == pytest.approx(hit["_score"], rel=1e-6)
        assert [tag["contribution"] for tag in channels(hit) if tag["name"] == "original/embedding"] in ([], [0])


def test_a_query_that_is_only_a_vector_is_passed_through(vectors: PluginSearch) -> None:
    body = {"query": {"knn": {"embedding": {"vector": [1.0, 0.0], "k": 2}}}}
    response = vectors.search(body)
    assert outcome(response) == "skipped_no_text"
    assert ids(response) == ids(vectors.plain(body))
