"""Beside the k-NN plugin: the user's vector belongs to the user's text, not to its rewrites."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opensearchpy.helpers import bulk
from support.opensearch_node import RunningNode
from support.plugin_search import PluginSearch, channel_names, hits, ids, match, outcome, set_endpoint
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


def test_a_query_that_is_only_a_vector_is_passed_through(vectors: PluginSearch) -> None:
    body = {"query": {"knn": {"embedding": {"vector": [1.0, 0.0], "k": 2}}}}
    response = vectors.search(body)
    assert outcome(response) == "skipped_no_text"
    assert ids(response) == ids(vectors.plain(body))
