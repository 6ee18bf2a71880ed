"""The impression log and UBI queries: what is written is what was shown; an outage loses nothing up to the bound."""

from __future__ import annotations

import hashlib
import hmac
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from iterqr_dev_node import NodeInstance, NodeOptions, build_plugin
from opensearchpy import OpenSearch
from support.cluster_settings import cluster_settings
from support.dish_catalog import REWRITES, TYPO, index_dishes
from support.node_keystore_entry import put_in_keystore
from support.opensearch_node import DEFAULT_VERSION, KNN_VERSION, TEST_SETTINGS, RunningNode
from support.plugin_search import (
    STATS,
    PluginSearch,
    Response,
    channels,
    eventually,
    facts,
    hits,
    match,
    outcome,
    pipeline_body,
    refusal,
    set_endpoint,
)
from support.rewrite_server import RunningServer
from support.ubi_stub_plugin import build_ubi_stub

pytestmark = pytest.mark.node

STREAM = "iterqr-impressions"
HASH_KEY = "plugins.iterqr.client_id.hash_key"
KEY = "a key of more than 16 characters"
BODY = {"query": match(TYPO)}
PREFIX = "plugins.iterqr.impressions."
ON = {f"{PREFIX}enabled": True, f"{PREFIX}flush_interval": "50ms"}


def by(query_id: str, **section: object) -> dict[str, Any]:
    return {**BODY, "ext": {"ubi": {"query_id": query_id, **section}}}


def hashed(client_id: str) -> str:
    return hmac.new(KEY.encode(), client_id.encode(), hashlib.sha256).hexdigest()


@contextmanager
def logging_node(
    version: str, folder: Path, rewriter: RunningServer, *, key: str | None = KEY, ubi: bool = False
) -> Iterator[PluginSearch]:
    """A node of its own, with a key for client ids, on which impressions are logged."""
    instance = NodeInstance.create(folder / "node", version)
    try:
        instance.install(build_plugin(version))
        if ubi:
            instance.install(build_ubi_stub(instance, folder))
        if key is not None:
            put_in_keystore(instance, HASH_KEY, key)
        yield started(instance, rewriter)
    finally:
        instance.delete()


def started(instance: NodeInstance, rewriter: RunningServer) -> PluginSearch:
    url = instance.start(NodeOptions(settings=TEST_SETTINGS)).url
    assert url is not None
    client = OpenSearch(url, timeout=30)
    node = RunningNode(instance=instance, version=instance.version, url=url, client=client)
    if not client.indices.exists(index="dishes"):
        index_dishes(client, "dishes")
    set_endpoint(client, rewriter.address)
    search = PluginSearch(node, "dishes", pipeline="")
    client.cluster.put_settings(body={"persistent": ON})
    return PluginSearch(node, "dishes", search.create_pipeline())


@pytest.fixture(scope="module", params=[DEFAULT_VERSION, KNN_VERSION])
def logged(
    request: pytest.FixtureRequest, rewriter: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PluginSearch]:
    with logging_node(request.param, tmp_path_factory.mktemp("log"), rewriter) as search:
        yield search


def stats(plugin: PluginSearch) -> dict[str, Any]:
    section: dict[str, Any] = plugin.client.transport.perform_request("GET", STATS)["impressions"]
    return section


def settled(plugin: PluginSearch) -> None:
    """Returns when everything logged so far is in its index and can be searched."""
    eventually(lambda: stats(plugin)["queued"] == 0 and stats(plugin)["ubi_queries"]["queued"] == 0, timeout_s=45)
    plugin.client.indices.refresh(index=f"{STREAM},ubi_queries", params={"ignore_unavailable": "true"})


def documents(plugin: PluginSearch, query_id: str, index: str = STREAM) -> list[dict[str, Any]]:
    settled(plugin)
    found = plugin.client.search(index=index, body={"query": {"term": {"query_id": query_id}}, "size": 100})
    return [hit["_source"] for hit in hits(found)]


def document(plugin: PluginSearch, query_id: str, index: str = STREAM) -> dict[str, Any]:
    (only,) = documents(plugin, query_id, index)
    return only


def new_id() -> str:
    return uuid.uuid4().hex


def assert_shows(logged_hits: list[dict[str, Any]], response: Response, start: int = 0) -> None:
    """Hits, positions and channels are those of the response."""
    assert [hit["object_id"] for hit in logged_hits] == [hit["_id"] for hit in hits(response)]
    assert [hit["index"] for hit in logged_hits] == [hit["_index"] for hit in hits(response)]
    assert [hit["position"] for hit in logged_hits] == [start + rank for rank in range(1, len(logged_hits) + 1)]
    keys = ("name", "rewrite_id", "rank", "score", "contribution")
    for logged_hit, hit in zip(logged_hits, hits(response), strict=True):
        assert logged_hit["channels"] == [
            {key: channel[key] for key in keys if key in channel} for channel in channels(hit)
        ]


def test_an_impression_is_what_the_response_showed(logged: PluginSearch) -> None:
    query_id = new_id()
    body = by(query_id, client_id="c-1", application="shop", user_query="Pad Tai")
    body["ext"]["iterqr"] = {"region": "north"}
    response = logged.search(body)
    written = document(logged, query_id)
    told = facts(response)
    assert outcome(response) == written["outcome"] == "fused"
    assert_shows(written["hits"], response)
    assert [(each["rewrite_id"], each["text"], each["score"]) for each in written["rewrites"]] == [
        (each["rewrite_id"], each["text"], each["confidence"]) for each in told["rewrites"]
    ]
    assert {each["source"] for each in written["rewrites"]} == {told["source"]}
    assert written["user_query"] == "Pad Tai"
    assert written["client_id"] == hashed("c-1")
    assert (written["application"], written["region"]) == ("shop", "north")
    assert written["window_size"] == 50
    assert written["checkpoint_id"] == told["checkpoint_id"]
    assert set(written["timings"]) >= {"rewrite_ms", "windows_ms", "total_ms"}
    assert "experiment" not in written


def test_a_later_page_keeps_its_positions(logged: PluginSearch) -> None:
    token = facts(logged.search(BODY))["page_token"]
    query_id = new_id()
    body = {**by(query_id), "from": 10, "size": 5}
    body["ext"]["iterqr"] = {"page_token": token}
    response = logged.search(body)
    assert outcome(response) == "fused"
    assert_shows(document(logged, query_id)["hits"], response, start=10)


def test_plain_answers_are_logged_too(logged: PluginSearch) -> None:
    query_id = new_id()
    response = logged.search({**by(query_id, client_id="c-1"), "sort": [{"price": "asc"}]})
    written = document(logged, query_id)
    assert written["outcome"] == outcome(response) == "skipped_sort"
    assert [hit["object_id"] for hit in written["hits"]] == [hit["_id"] for hit in hits(response)]
    assert all(hit["channels"] == [] for hit in written["hits"])


def test_objects_are_named_by_the_applications_field(logged: PluginSearch) -> None:
    query_id = new_id()
    response = logged.search(by(query_id, object_id_field="title"))
    assert [hit["object_id"] for hit in document(logged, query_id)["hits"]] == [
        hit["_source"]["title"] for hit in hits(response)
    ]


def test_control_is_logged_with_its_arm(logged: PluginSearch) -> None:
    nobody = {"plugins.iterqr.experiment.name": "exp", "plugins.iterqr.experiment.treatment_percent": 0}
    query_id = new_id()
    with cluster_settings(logged.client, nobody):
        response = logged.search(by(query_id, client_id="c-1", user_query=TYPO))
    written = document(logged, query_id)
    assert written["outcome"] == "control"
    assert written["experiment"] == {"name": "exp", "bucket": "control"}
    assert written["user_query"] == TYPO
    assert_shows(written["hits"], response)


def test_shadow_is_logged_with_the_page_it_kept_back(logged: PluginSearch) -> None:
    everybody = {
        "plugins.iterqr.experiment.name": "exp",
        "plugins.iterqr.experiment.treatment_percent": 0,
        "plugins.iterqr.experiment.shadow_percent": 100,
    }
    query_id = new_id()
    fused = logged.search(BODY)
    with cluster_settings(logged.client, everybody):
        plain = logged.search(by(query_id, client_id="c-1"))
        eventually(lambda: len(documents(logged, query_id)) == 1)
    written = document(logged, query_id)
    assert written["experiment"] == {"name": "exp", "bucket": "shadow"}
    assert (written["outcome"], written["mode"]) == ("shadow", "shadow")
    assert_shows(written["hits"], plain)
    assert_shows(written["shadow_hits"], fused)


def test_shadow_of_expand_is_logged_with_its_rewrites(logged: PluginSearch) -> None:
    query_id = new_id()
    body = by(query_id)
    body["ext"]["iterqr"] = {"mode": "shadow_expand"}
    logged.search(body)
    eventually(lambda: len(documents(logged, query_id)) == 1)
    written = document(logged, query_id)
    assert (written["outcome"], written["mode"]) == ("shadow", "shadow_expand")
    assert [rewrite["text"] for rewrite in written["rewrites"]] == list(REWRITES[TYPO])
    assert "shadow_hits" not in written


@pytest.mark.parametrize("mode", ["fuse", "off", "shadow"])
def test_a_later_processor_that_changes_hits_does_not_change_what_is_logged(logged: PluginSearch, mode: str) -> None:
    """It changes them in place, and a shadowed search is logged only after that."""
    body = pipeline_body({"mode": mode})
    rename = {"rename_field": {"field": "title", "target_field": "name"}}
    body = {**body, "response_processors": [*body["response_processors"], rename]}
    pipeline = logged.node.unique_name("renaming")
    logged.client.transport.perform_request("PUT", f"/_search/pipeline/{pipeline}", body=body)
    query_id = new_id()
    response = logged.search(by(query_id, object_id_field="title"), pipeline=pipeline)
    eventually(lambda: len(documents(logged, query_id)) == 1)
    named = [hit["object_id"] for hit in document(logged, query_id)["hits"]]
    assert named == [hit["_source"]["name"] for hit in hits(response)]


def test_redacted_impressions_do_not_tell_the_query(logged: PluginSearch) -> None:
    query_id = new_id()
    with cluster_settings(logged.client, {f"{PREFIX}redact_queries": True, "plugins.iterqr.ubi.write_queries": True}):
        logged.search(by(query_id, client_id="c-1", user_query=TYPO, query_attributes={"typed": TYPO}))
        written = str(documents(logged, query_id)) + str(document(logged, query_id, "ubi_queries")["query_attributes"])
    assert "rewrite_id" in written
    assert "pad t" not in written


def test_stream_and_template_are_as_specified(logged: PluginSearch) -> None:
    query_id = new_id()
    logged.search(by(query_id))
    document(logged, query_id)
    (stream,) = logged.client.transport.perform_request("GET", f"/_data_stream/{STREAM}")["data_streams"]
    assert stream["timestamp_field"] == {"name": "@timestamp"}
    assert stream["template"] == STREAM
    (mappings,) = logged.client.indices.get_mapping(index=STREAM).values()
    properties = mappings["mappings"]["properties"]
    assert mappings["mappings"]["dynamic"] == "false"
    assert {name: field.get("type") for name, field in properties.items()} == {
        "@timestamp": "date",
        "query_id": "keyword",
        "user_query": "text",
        "client_id": "keyword",
        "application": "keyword",
        "region": "keyword",
        "experiment": None,
        "checkpoint_id": "keyword",
        "outcome": "keyword",
        "mode": "keyword",
        "strategy": "keyword",
        "window_size": "integer",
        "rewrites": None,
        "hits": None,
        "shadow_hits": None,
        "timings": None,
    }
    hit_fields = properties["hits"]["properties"]
    assert hit_fields["object_id"]["type"] == hit_fields["index"]["type"] == "keyword"
    assert set(hit_fields["channels"]["properties"]) == {
        "name", "rewrite_id", "rank", "score", "contribution", "team",
    }  # fmt: skip


def test_switched_off_nothing_is_logged(logged: PluginSearch) -> None:
    query_id = new_id()
    with cluster_settings(logged.client, {f"{PREFIX}enabled": False}):
        logged.search(by(query_id))
    logged.client.cluster.put_settings(body={"persistent": ON})
    assert documents(logged, query_id) == []


def test_sampling_takes_all_searches_of_a_client_or_none(logged: PluginSearch) -> None:
    before = stats(logged)["sampled_out"]
    prefix = new_id()
    with cluster_settings(logged.client, {f"{PREFIX}sample_rate": 0.5}):
        for client in range(20):
            for attempt in range(2):
                logged.search(by(f"{prefix}-{client}-{attempt}", client_id=f"client-{client}"))
    taken = [len(documents(logged, f"{prefix}-{client}-0")) for client in range(20)]
    assert taken == [len(documents(logged, f"{prefix}-{client}-1")) for client in range(20)]
    assert 4 <= sum(taken) <= 16
    assert stats(logged)["sampled_out"] - before == 2 * (20 - sum(taken))


@contextmanager
def read_only(plugin: PluginSearch) -> Iterator[None]:
    """Nobody can write impressions for a while."""

    def block(value: bool | None) -> None:
        plugin.client.indices.put_settings(index=STREAM, body={"index.blocks.write": value})

    block(True)
    try:
        yield
    finally:
        block(None)


def test_an_outage_loses_nothing(logged: PluginSearch) -> None:
    logged.search(BODY)
    settled(logged)
    before = stats(logged)
    prefix = new_id()
    with read_only(logged):
        for number in range(40):
            assert outcome(logged.search(by(f"{prefix}-{number}"))) == "fused"
        eventually(lambda: stats(logged)["retries"] >= before["retries"] + 2)
        assert stats(logged)["queued"] == 40
        assert "ClusterBlockException" in stats(logged)["last_error"]
    assert all(len(documents(logged, f"{prefix}-{number}")) == 1 for number in range(40))
    after = stats(logged)
    assert (after["written"] - before["written"], after["dropped"], after["refused"]) == (40, before["dropped"], 0)


def test_beyond_the_bound_documents_are_dropped_and_counted(logged: PluginSearch) -> None:
    logged.search(BODY)
    settled(logged)
    before = stats(logged)
    with cluster_settings(logged.client, {f"{PREFIX}queue.max_documents": 7}), read_only(logged):
        for _ in range(20):
            assert outcome(logged.search(BODY)) == "fused"
        assert stats(logged)["queued"] == 7
        assert stats(logged)["dropped"] - before["dropped"] == 13
    settled(logged)
    assert stats(logged)["written"] - before["written"] == 7


def test_a_deleted_stream_is_made_again(logged: PluginSearch) -> None:
    logged.search(BODY)
    settled(logged)
    logged.client.transport.perform_request("DELETE", f"/_data_stream/{STREAM}")
    logged.client.transport.perform_request("DELETE", f"/_index_template/{STREAM}")
    query_id = new_id()
    logged.search(by(query_id))
    assert len(documents(logged, query_id)) == 1


def test_old_impressions_are_deleted(logged: PluginSearch) -> None:
    def indices() -> list[str]:
        (stream,) = logged.client.transport.perform_request("GET", f"/_data_stream/{STREAM}")["data_streams"]
        return [index["index_name"] for index in stream["indices"]]

    query_id = new_id()
    logged.search(by(query_id))
    assert len(documents(logged, query_id)) == 1
    first = indices()[-1]
    with cluster_settings(logged.client, {f"{PREFIX}retention": "2s"}):
        eventually(lambda: first not in indices(), timeout_s=40)
    assert documents(logged, query_id) == []


def test_ubi_queries_are_as_the_specification_says(logged: PluginSearch) -> None:
    query_id = new_id()
    with cluster_settings(logged.client, {"plugins.iterqr.ubi.write_queries": True}):
        response = logged.search(
            by(query_id, client_id="c-1", application="shop", query_attributes={"filter": {"region": "north"}})
        )
        written = document(logged, query_id, "ubi_queries")
    assert written["user_query"] == TYPO
    assert written["client_id"] == hashed("c-1")
    assert written["application"] == "shop"
    assert str(uuid.UUID(written["query_response_id"]))
    assert written["query_response_hit_ids"] == [hit["_id"] for hit in hits(response)]
    attributes = written["query_attributes"]
    assert attributes["filter"] == {"region": "north"}
    rewrites = facts(response)["rewrites"]
    assert attributes["iterqr"]["outcome"] == "fused"
    assert attributes["iterqr"]["rewrites"] == [rewrite["text"] for rewrite in rewrites]
    assert attributes["iterqr"]["rewrite_ids"] == [rewrite["rewrite_id"] for rewrite in rewrites]
    by_rewrite = {"query": {"term": {"query_attributes.iterqr.rewrites": rewrites[0]["text"]}}}
    assert hits(logged.client.search(index="ubi_queries", body=by_rewrite))


def test_ubi_indices_are_made_once_with_the_specifications_mappings(logged: PluginSearch) -> None:
    def initialize() -> Mapping[str, str]:
        made: dict[str, str] = logged.client.transport.perform_request("POST", "/_plugins/_iterqr/ubi/initialize")
        return made

    logged.client.indices.delete(index="ubi_queries,ubi_events", params={"ignore_unavailable": "true"})
    assert initialize() == {"ubi_queries": "created", "ubi_events": "created"}
    assert initialize() == {"ubi_queries": "exists", "ubi_events": "exists"}
    queries = logged.client.indices.get_mapping(index="ubi_queries")["ubi_queries"]["mappings"]
    assert queries["dynamic"] == "false"
    assert queries["properties"]["query_attributes"] == {"type": "flat_object"}
    assert queries["properties"]["query_response_hit_ids"] == {"type": "keyword"}
    assert queries["properties"]["query_id"] == {"type": "keyword", "ignore_above": 100}
    event = {
        "action_name": "click",
        "query_id": "q-1",
        "client_id": "c-1",
        "timestamp": "2018-11-13T20:20:39Z",
        "event_attributes": {"object": {"object_id": "1", "object_id_field": "_id"}, "position": {"ordinal": 3}},
    }
    logged.client.index(index="ubi_events", body=event, refresh=True)
    found = logged.client.search(
        index="ubi_events",
        body={
            "query": {
                "bool": {
                    "filter": [
                        {"term": {"event_attributes.object.object_id": "1"}},
                        {"range": {"event_attributes.position.ordinal": {"gte": 3}}},
                        {"range": {"timestamp": {"gte": "2018-01-01", "lt": "2019-01-01"}}},
                    ]
                }
            }
        },
    )
    assert len(hits(found)) == 1


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("sample_rate", 1.5),
        ("sample_rate", "some"),
        ("retention", "0s"),
        ("queue.max_documents", 0),
        ("queue.max_size", "2tb"),
        ("bulk.max_documents", 0),
        ("flush_interval", "1ms"),
    ],
)
def test_wrong_settings_are_refused(logged: PluginSearch, setting: str, value: object) -> None:
    body = {"persistent": {f"{PREFIX}{setting}": value}}
    assert setting in str(refusal(lambda: logged.client.cluster.put_settings(body=body)))


def test_logging_does_not_slow_a_search(logged: PluginSearch) -> None:
    """Even where nothing can be written. What it costs is measured elsewhere; this is against waiting."""
    with read_only(logged):
        for _ in range(20):
            began = time.monotonic()
            logged.search(BODY)
            assert time.monotonic() - began < 1.0
    settled(logged)


def test_a_node_that_stops_writes_what_is_left(
    rewriter: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("stop")
    with logging_node(DEFAULT_VERSION, folder, rewriter, key=None) as plugin:
        first = new_id()
        plugin.search(by(first, client_id="c-1"))
        assert "client_id" not in document(plugin, first), "without a key no client id is logged"
        assert stats(plugin)["client_ids"] == {"not_logged": 1}
        plugin.client.cluster.put_settings(body={"persistent": {f"{PREFIX}flush_interval": "10m"}})
        last = new_id()
        plugin.search(by(last))
        assert stats(plugin)["queued"] == 1
        plugin.node.instance.stop()
        again = started(plugin.node.instance, rewriter)
        assert len(documents(again, last)) == 1


def test_a_key_that_is_too_short_does_not_keep_the_node_down(
    rewriter: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with logging_node(DEFAULT_VERSION, tmp_path_factory.mktemp("short"), rewriter, key="fifteen letters") as plugin:
        query_id = new_id()
        assert outcome(plugin.search(by(query_id, client_id="c-1"))) == "fused"
        assert "client_id" not in document(plugin, query_id)
        assert stats(plugin)["client_ids"] == {"not_logged": 1}
        assert f"[{HASH_KEY}] must have at least 16 characters" in plugin.node.instance.log.read_text()


def test_beside_the_ubi_plugin_its_ids_are_logged_and_its_queries_are_its_own(
    rewriter: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with logging_node(DEFAULT_VERSION, tmp_path_factory.mktemp("ubi"), rewriter, ubi=True) as plugin:
        plugin.client.cluster.put_settings(body={"persistent": {"plugins.iterqr.ubi.write_queries": True}})
        response = plugin.search({**BODY, "ext": {"ubi": {"client_id": "c-1", "user_query": "Pad Tai"}}})
        written = document(plugin, response["ext"]["ubi"]["query_id"])
        assert (written["client_id"], written["user_query"]) == (hashed("c-1"), "Pad Tai")
        assert not plugin.client.indices.exists(index="ubi_queries")
