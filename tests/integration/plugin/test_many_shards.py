"""An index of so many shards and documents that the hits' sequence numbers alone would name more than a search may."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from opensearchpy.helpers import bulk
from support.dish_catalog import MAPPINGS
from support.plugin_search import PluginSearch, channel_names, hits, match, outcome
from support.scripted_service import answers, scripted_service

pytestmark = pytest.mark.node

SHARDS = 24
DOCUMENTS = SHARDS * 550
WINDOW = 1000
TEXT, REWRITE = "pad tai", "noodles"


@pytest.fixture(scope="module")
def crowded(plugin: PluginSearch) -> Iterator[PluginSearch]:
    """Every document is a rewrite's; about 460 sequence numbers of its window are in use on every shard."""
    index = plugin.node.unique_name("crowded")
    settings = {"number_of_shards": SHARDS, "number_of_replicas": 0}
    plugin.client.indices.create(index=index, body={"settings": settings, "mappings": MAPPINGS})
    lengths = random.Random(7)
    bulk(
        plugin.client,
        (
            {"_index": index, "_id": str(number), "title": REWRITE + " side" * lengths.randrange(1, 60)}
            for number in range(DOCUMENTS)
        ),
        chunk_size=5000,
        refresh=True,
    )
    yield PluginSearch(
        plugin.node,
        index,
        plugin.create_pipeline({"budget_ms": 20_000, "window_size": WINDOW}, {"append_below": WINDOW}),
    )
    plugin.client.indices.delete(index=index)


def test_no_hit_is_lost(crowded: PluginSearch) -> None:
    with scripted_service(answers(REWRITE)) as service, crowded.served_by(service.address):
        response = crowded.search({"query": match(TEXT), "size": WINDOW, "_source": False})
    assert outcome(response) == "fused"
    assert len(hits(response)) == WINDOW
    assert all(channel_names(hit) == [REWRITE] for hit in hits(response))


def test_every_hit_is_named_in_an_explanation(crowded: PluginSearch) -> None:
    with scripted_service(answers(REWRITE)) as service, crowded.served_by(service.address):
        told = crowded.client.transport.perform_request(
            "POST",
            f"/_plugins/_iterqr/explain/{crowded.index}",
            params={"search_pipeline": crowded.pipeline},
            body={"query": match(TEXT), "size": 10},
        )
    (window,) = [channel["window"] for channel in told["channels"] if channel.get("text") == REWRITE]
    assert len(window) == WINDOW
    assert all(hit["_id"] for hit in window)
