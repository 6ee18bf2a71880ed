"""Collecting from a real node: everything that was written is taken once, whenever it was and wherever it lies."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from iterqr_training.errors import SourceError
from iterqr_training.main import main
from iterqr_training.signals.collect.client_ids import ClientIdHasher
from iterqr_training.signals.collect.settings import CollectSettings
from iterqr_training.signals.store.reader import read_snapshot
from opensearchpy import OpenSearch
from support.collecting import KEY, TestSignals, counts_of, event, impression
from support.dish_catalog import TYPO
from support.opensearch_node import RunningNode
from support.plugin_search import STATS, PluginSearch, channels, eventually, facts, hits, match, outcome

pytestmark = pytest.mark.node


def test_what_the_plugin_logged_is_what_the_search_showed(logged_search: PluginSearch, tmp_path: Path) -> None:
    query_id = uuid.uuid4().hex
    ubi = {"query_id": query_id, "client_id": "c-1", "application": "shop", "user_query": "Pad  Tai"}
    response = logged_search.search({"query": match(TYPO), "ext": {"ubi": ubi, "iterqr": {"region": "north"}}})
    logged_search.client.index(index="ubi_events", body=event(query_id=query_id, client_id="c-1"))
    eventually(lambda: _nothing_queued(logged_search))
    signals = TestSignals(logged_search.node, CollectSettings(), tmp_path)
    signals.collect()
    (row,) = (row for row in signals.table("impressions").to_pylist() if row["query_id"] == query_id)
    told = facts(response)
    assert outcome(response) == row["outcome"] == "fused"
    assert (row["user_query"], row["normalized_query"], row["region"]) == ("Pad  Tai", "pad tai", "north")
    assert (row["application"], row["checkpoint_id"]) == ("shop", told["checkpoint_id"])
    assert (row["mode"], row["strategy"], row["window_size"]) == ("fuse", "rrf", 50)
    assert row["total_ms"] > 0
    of_it = {
        name: [each for each in signals.table(name).to_pylist() if each["impression_id"] == row["impression_id"]]
        for name in ("rewrites", "hits", "hit_channels")
    }
    assert [(each["rewrite_id"], each["text"], each["ordinal"]) for each in of_it["rewrites"]] == [
        (each["rewrite_id"], each["text"], ordinal) for ordinal, each in enumerate(told["rewrites"], 1)
    ]
    assert [(each["position"], each["object_id"], each["index"], each["shown"]) for each in of_it["hits"]] == [
        (position, hit["_id"], hit["_index"], True) for position, hit in enumerate(hits(response), 1)
    ]
    assert [
        (each["position"], each["channel"], each["rewrite_id"], each["rank"], each["score"], each["contribution"])
        for each in of_it["hit_channels"]
    ] == [
        (position, tag["name"], tag.get("rewrite_id", ""), tag["rank"], tag["score"], tag["contribution"])
        for position, hit in enumerate(hits(response), 1)
        for tag in channels(hit)
    ]
    clients = {
        name: {each["client_id"] for each in signals.table(name).to_pylist() if each["query_id"] == query_id}
        for name in ("impressions", "queries", "events")
    }
    assert clients == {name: {ClientIdHasher(KEY).hash("c-1")} for name in clients}


def _nothing_queued(search: PluginSearch) -> bool:
    section = search.client.transport.perform_request("GET", STATS)["impressions"]
    return bool(section["queued"] == 0 and section["ubi_queries"]["queued"] == 0)


def test_indices_that_are_not_there_have_no_documents(signals: TestSignals) -> None:
    collection = signals.collect()
    assert [(counts.indices, counts.documents) for counts in collection.sources] == [(0, 0)] * 3
    assert signals.table("events").num_rows == 0
    signals.create_events()
    signals.write(signals.events, ("a", event()))
    signals.collect()
    assert signals.ids("events") == {"a": 1}


def test_every_shard_is_read_to_its_end_in_pages(signals: TestSignals) -> None:
    signals = signals.in_pages(7, 20)
    signals.create_events(shards=3, refresh_interval="-1")
    signals.write(signals.events, *((f"e{number}", event()) for number in range(100)))
    collection = signals.collect()
    assert (counts_of(collection, "ubi_events").shards, counts_of(collection, "ubi_events").taken) == (3, 100)
    assert collection.commits >= 4
    assert signals.ids("events") == {f"e{number}": 1 for number in range(100)}
    again = signals.collect()
    assert (again.commits, again.operations_seen) == (0, 0)


def test_late_and_out_of_order_events_are_taken_by_their_own_date(signals: TestSignals) -> None:
    signals.create_events()
    signals.write(signals.events, ("now", event("2026-03-05T08:00:00Z")))
    signals.collect()
    signals.write(
        signals.events,
        ("late", event("2026-03-01T23:59:59.999Z")),
        ("early", event("2027-01-01T00:00:00+02:00")),
        ("millis", event(timestamp=1_772_366_400_000)),
    )
    signals.collect()
    assert signals.ids("events") == {"now": 1, "late": 1, "early": 1, "millis": 1}
    files = read_snapshot(signals.folder).state.of_table("events")
    assert sorted((file.date, file.rows) for file in files) == [
        ("2026-03-01", 2), ("2026-03-05", 1), ("2026-12-31", 1),
    ]  # fmt: skip


def test_a_stream_is_followed_over_rollovers_and_deleted_indices(signals: TestSignals) -> None:
    client = signals.node.client
    signals.create_stream()
    signals.write(signals.impressions, ("a", impression()), ("b", impression()))
    signals.collect()
    old = client.transport.perform_request("POST", f"/{signals.impressions}/_rollover")["old_index"]
    # The node sends a document again whose answer it did not get; by now it goes to the new index.
    signals.write(signals.impressions, ("b", impression()), ("c", impression()))
    counts = counts_of(signals.collect(), "iterqr-impressions")
    assert (counts.indices, counts.taken, counts.repeated) == (2, 1, 1)
    client.indices.delete(index=old)
    signals.write(signals.impressions, ("d", impression()))
    assert counts_of(signals.collect(), "iterqr-impressions").taken == 1
    assert signals.ids("impressions") == {"a": 1, "b": 1, "c": 1, "d": 1}
    assert signals.ids("rewrites") == {"a": 1, "b": 1, "c": 1, "d": 1}
    assert signals.ids("hits") == {"a": 2, "b": 2, "c": 2, "d": 2}
    assert signals.ids("hit_channels") == {"a": 3, "b": 3, "c": 3, "d": 3}


def test_copies_in_two_indices_come_out_once_also_in_one_collection(signals: TestSignals) -> None:
    signals.create_stream()
    signals.write(signals.impressions, ("a", impression()))
    signals.node.client.transport.perform_request("POST", f"/{signals.impressions}/_rollover")
    signals.write(signals.impressions, ("a", impression()))
    counts = counts_of(signals.collect(), "iterqr-impressions")
    assert (counts.documents, counts.taken, counts.repeated) == (2, 1, 1)
    assert signals.ids("impressions") == {"a": 1}


def test_what_was_collected_stays_as_it_is(signals: TestSignals) -> None:
    signals.create_events()
    signals.write(signals.events, ("a", event(action_name="click")), ("gone", event()))
    signals.collect()
    signals.write(signals.events, ("a", event("2026-04-01T00:00:00Z", action_name="purchase")))
    signals.write(signals.events, ("b", event(action_name="view")))
    signals.write(signals.events, ("b", event(action_name="click")))
    signals.node.client.delete(index=signals.events, id="gone")
    counts = counts_of(signals.collect(), "ubi_events")
    assert (counts.taken, counts.repeated) == (1, 1)
    actions = {row["event_id"]: row["action"] for row in signals.table("events").to_pylist()}
    assert actions == {"a": "click", "gone": "click", "b": "click"}, "b as it was when it was first seen"


def test_an_index_that_is_made_anew_is_read_from_its_beginning(signals: TestSignals) -> None:
    signals.create_events()
    signals.write(signals.events, ("a", event()), ("b", event()), ("c", event()))
    signals.collect()
    signals.node.client.indices.delete(index=signals.events)
    signals.create_events()
    signals.write(signals.events, ("b", event()), ("d", event()))
    counts = counts_of(signals.collect(), "ubi_events")
    assert (counts.taken, counts.repeated) == (1, 1)
    assert signals.ids("events") == {"a": 1, "b": 1, "c": 1, "d": 1}


def test_malformed_documents_are_told_and_the_rest_is_taken(signals: TestSignals) -> None:
    signals.create_events()
    broken = event()
    del broken["action_name"]
    signals.write(signals.events, ("good", event()), ("nameless", broken), ("many", event(query_id=["a", "b"])))
    counts = counts_of(signals.collect(), "ubi_events")
    assert counts.rejected == {("missing", "action_name"): 1, ("wrong_type", "query_id"): 1}
    assert signals.ids("events") == {"good": 1}
    told = [(row["document_id"], row["reason"], row["field"]) for row in signals.table("rejects").to_pylist()]
    assert sorted(told) == [("many", "wrong_type", "query_id"), ("nameless", "missing", "action_name")]
    assert counts_of(signals.collect(), "ubi_events").documents == 0
    assert signals.table("rejects").num_rows == 2


def test_a_closed_index_is_taken_when_it_is_open_again(signals: TestSignals) -> None:
    signals.create_events()
    signals.write(signals.events, ("a", event()))
    signals.node.client.indices.close(index=signals.events)
    assert counts_of(signals.collect(), "ubi_events").documents == 0
    signals.node.client.indices.open(index=signals.events)
    signals.node.client.cluster.health(index=signals.events, params={"wait_for_status": "green"})
    signals.collect()
    assert signals.ids("events") == {"a": 1}


def test_an_index_that_is_deleted_while_it_is_read_is_no_error(signals: TestSignals) -> None:
    signals.create_events()
    signals.write(signals.events, *((f"e{number}", event()) for number in range(10)))
    deleting = _DeletingClient(signals.node.client, signals.events)
    broken = TestSignals(
        RunningNode(signals.node.instance, signals.node.version, signals.node.url, deleting),  # type: ignore[arg-type]
        signals.settings,
        signals.folder,
    ).in_pages(4, 20)
    collection = broken.collect()
    assert counts_of(collection, "ubi_events").taken == 4
    assert signals.ids("events") == {f"e{number}": 1 for number in range(4)}


class _DeletingClient:
    """A client whose second search finds the index deleted by somebody else."""

    def __init__(self, client: OpenSearch, index: str) -> None:
        self._client = client
        self._index = index
        self._searches = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._client, name)

    def search(self, **arguments: object) -> object:
        self._searches += 1
        if self._searches == 2:
            self._client.indices.delete(index=self._index)
        return self._client.search(**arguments)


def test_a_shard_that_cannot_be_read_keeps_its_watermark(signals: TestSignals) -> None:
    signals.create_events()
    signals.write(signals.events, ("a", event()))
    signals.node.client.indices.put_settings(index=signals.events, body={"index.blocks.read": True})
    with pytest.raises(SourceError, match="OpenSearch"):
        signals.collect()
    signals.node.client.indices.put_settings(index=signals.events, body={"index.blocks.read": None})
    signals.collect()
    assert signals.ids("events") == {"a": 1}


def test_the_command_collects_and_tells_what(
    signals: TestSignals, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    signals.create_events()
    signals.write(signals.events, ("a", event()), ("b", {**event(), "timestamp": "1999-01-01"}))
    key = tmp_path / "client.key"
    key.write_text(f"{KEY}\n")
    names = ["--impressions-index", signals.impressions, "--queries-index", signals.settings.queries_index]
    arguments = ["collect", "--url", signals.node.url, "--folder", str(signals.folder), *names]
    main([*arguments, "--events-index", signals.events, "--client-key-file", str(key)])
    told = " ".join(capsys.readouterr().out.split())
    assert "rejected: ubi_events: timestamp out_of_range: 1" in told
    assert "events 1," in told
    assert "2 operations seen, 2 documents, 1 commits" in told
    assert signals.table("events")["client_id"].to_pylist() == [ClientIdHasher(KEY).hash("c-1")]
    keyless = signals.folder.with_name("keyless")
    main([*arguments[:3], "--folder", str(keyless), *names, "--events-index", signals.events])
    assert "1 client ids dropped" in capsys.readouterr().out
