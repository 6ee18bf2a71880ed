"""Fills the node: the catalog, the history of clicked titles, and the search pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from opensearchpy import OpenSearch, helpers

from iterqr_benchmarks.errors import StackError
from iterqr_benchmarks.stack.settings import ChannelSettings

PIPELINE = "iterqr"
_CHUNK = 1_000


def create_index(client: OpenSearch, index: str, mapping: Mapping[str, Any]) -> None:
    """Creates an empty index."""
    client.indices.create(index=index, body=dict(mapping))


def index_documents(
    client: OpenSearch,
    index: str,
    documents: Iterable[tuple[str, Mapping[str, Any]]],
    on_progress: Callable[[int], None],
) -> int:
    """Indexes documents by bulk, makes them searchable in one segment, and returns how many the index then has.

    Args:
        client: Of the node.
        index: Exists already.
        documents: Id and source of each.
        on_progress: Called with the number indexed so far.

    Raises:
        StackError: The node refused a document.
    """
    actions = ({"_index": index, "_id": key, "_source": dict(source)} for key, source in documents)
    done = 0
    try:
        for _ in helpers.streaming_bulk(client, actions, chunk_size=_CHUNK):
            done += 1
            if done % _CHUNK == 0:
                on_progress(done)
    except helpers.BulkIndexError as error:
        raise StackError(f"index {index}: {error.errors[0]}") from error
    client.indices.refresh(index=index)
    # One segment: scores and ties do not depend on how merges happened to fall.
    client.indices.forcemerge(index=index, max_num_segments=1)
    count: int = client.count(index=index)["count"]
    if count != done:
        raise StackError(f"index {index}: has {count} documents after {done} were indexed; ids repeat")
    return count


def create_pipeline(client: OpenSearch, channel: ChannelSettings, name: str = PIPELINE) -> None:
    """Creates or replaces the search pipeline."""
    client.transport.perform_request("PUT", f"/_search/pipeline/{name}", body=pipeline_body(channel))


def pipeline_body(channel: ChannelSettings) -> dict[str, Any]:
    """The pipeline's definition."""
    return {
        "request_processors": [
            {
                "query_rewrite": {
                    "budget_ms": channel.budget_ms,
                    "window_size": channel.window_size,
                    "max_rewrites": channel.max_rewrites,
                    **({} if channel.policy is None else {"policy": dict(channel.policy)}),
                }
            }
        ],
        "response_processors": [
            {
                "rewrite_channel": {
                    "original_weight": channel.original_weight,
                    "rewrite_weight": channel.rewrite_weight,
                    "rank_constant": channel.rank_constant,
                    "fusion": channel.fusion,
                }
            }
        ],
    }
