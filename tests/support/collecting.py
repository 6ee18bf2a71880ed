"""Collections in tests: indices of a test's own, documents in the documented shapes, what a store has."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from iterqr_training.signals.collect.client_ids import ClientIdHasher
from iterqr_training.signals.collect.collector import Collection, Collector, SourceCounts
from iterqr_training.signals.collect.node import Node
from iterqr_training.signals.collect.settings import CollectSettings
from iterqr_training.signals.store.reader import read_snapshot
from iterqr_training.signals.store.writer import SignalStore
from support.opensearch_node import RunningNode

KEY = "a key of more than 16 characters"


class NoProgress:
    """Is told how a collection goes, and does not tell."""

    def planned(self, operations: int) -> None: ...

    def seen(self, operations: int, documents: int) -> None: ...


@dataclass(frozen=True, slots=True)
class TestSignals:
    """Indices of one test on a node, and the folder that they are collected into."""

    __test__ = False

    node: RunningNode
    settings: CollectSettings
    folder: Path

    @property
    def impressions(self) -> str:
        return self.settings.impressions_index

    @property
    def events(self) -> str:
        return self.settings.events_index

    def in_pages(self, page_documents: int, commit_documents: int) -> TestSignals:
        """The same, read and committed in other portions."""
        settings = replace(self.settings, page_documents=page_documents, commit_documents=commit_documents)
        return replace(self, settings=settings)

    def create_stream(self) -> None:
        """Makes the data stream of impressions, as the plugin makes its own."""
        (template,) = self.node.client.transport.perform_request("GET", "/_index_template/iterqr-impressions")[
            "index_templates"
        ]
        body = {**template["index_template"], "index_patterns": [self.impressions], "priority": 200}
        self.node.client.transport.perform_request("PUT", f"/_index_template/{self.impressions}", body=body)
        self.node.client.transport.perform_request("PUT", f"/_data_stream/{self.impressions}")

    def create_events(self, shards: int = 1, **settings: object) -> None:
        """Makes an index of events, of a mapping that OpenSearch finds itself."""
        body = {"settings": {"number_of_shards": shards, "number_of_replicas": 0, **settings}}
        self.node.client.indices.create(index=self.events, body=body)

    def write(self, index: str, *documents: tuple[str, dict[str, Any]], refresh: bool = False) -> None:
        """Writes documents, each under its id."""
        body: list[dict[str, Any]] = []
        for document_id, source in documents:
            operation = "create" if index == self.impressions else "index"
            body += [{operation: {"_index": index, "_id": document_id}}, source]
        reply = self.node.client.bulk(body=body, params={"refresh": str(refresh).lower()})
        assert not reply["errors"], reply["items"]

    def collect(self) -> Collection:
        """Collects once, in this process."""
        with SignalStore(self.folder) as store:
            node = Node(self.node.client, self.settings.page_documents)
            return Collector(node, store, ClientIdHasher(KEY), self.settings).collect(NoProgress())

    def table(self, name: str) -> pa.Table:
        """What is committed of a table."""
        return pa.concat_tables([pq.ParquetFile(file).read() for file in read_snapshot(self.folder).open_table(name)])

    def ids(self, name: str) -> Counter[str]:
        """How often each key of a table's rows is there; of a key of several columns, its first."""
        column = {"impressions": "impression_id", "queries": "document_id", "events": "event_id"}.get(
            name, "impression_id"
        )
        return Counter(self.table(name)[column].to_pylist())


def counts_of(collection: Collection, source: str) -> SourceCounts:
    (counts,) = (counts for counts in collection.sources if counts.source == source)
    return counts


def event(timestamp: str | int = "2026-03-01T12:00:00Z", **changes: object) -> dict[str, Any]:
    """A click."""
    return {
        "action_name": "click",
        "query_id": "q-1",
        "client_id": "c-1",
        "timestamp": timestamp,
        "event_attributes": {"object": {"object_id": "1", "object_id_field": "_id"}, "position": {"ordinal": 3}},
        **changes,
    }


def impression(timestamp: str = "2026-03-01T12:00:00Z", **changes: object) -> dict[str, Any]:
    """A page of two hits."""
    tags = [
        {"name": "original", "rank": 1, "score": 2.0, "contribution": 0.01},
        {"name": "rewrite", "rewrite_id": "r-1", "rank": 1, "score": 1.0, "contribution": 0.01},
    ]
    return {
        "@timestamp": timestamp,
        "query_id": "q-1",
        "user_query": "pad tai",
        "outcome": "fused",
        "mode": "fuse",
        "window_size": 50,
        "rewrites": [{"rewrite_id": "r-1", "text": "pad thai", "score": 0.5, "source": "model"}],
        "hits": [
            {"object_id": "1", "index": "dishes", "position": 1, "channels": tags},
            {"object_id": "2", "index": "dishes", "position": 2, "channels": tags[:1]},
        ],
        "timings": {"total_ms": 3.5},
        **changes,
    }
