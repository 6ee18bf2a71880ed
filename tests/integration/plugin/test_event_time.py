"""Simulated time: a development node writes down when a search says that it happened; no other node takes it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
from iterqr_dev_node import NodeInstance, NodeOptions, NodeStartError, build_plugin
from opensearchpy import OpenSearch
from opensearchpy.exceptions import TransportError
from support.dish_catalog import TYPO, index_dishes
from support.opensearch_node import DEFAULT_VERSION, KNN_VERSION, TEST_SETTINGS, RunningNode
from support.plugin_search import PluginSearch, eventually, hits, match, outcome, refusal, set_endpoint
from support.rewrite_server import RunningServer

pytestmark = pytest.mark.node

ENABLED = "plugins.iterqr.dev.event_time"
IMPRESSIONS = "iterqr-impressions"
LOGGED = {
    "plugins.iterqr.impressions.enabled": "true",
    "plugins.iterqr.impressions.flush_interval": "50ms",
    "plugins.iterqr.ubi.write_queries": "true",
}


@pytest.fixture(scope="module", params=[DEFAULT_VERSION, KNN_VERSION])
def simulated(
    request: pytest.FixtureRequest, rewriter: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PluginSearch]:
    """A development node that takes event times and logs impressions and queries."""
    version: str = request.param
    instance = NodeInstance.create(tmp_path_factory.mktemp("time") / "node", version)
    try:
        instance.install(build_plugin(version))
        url = instance.start(NodeOptions(settings={**TEST_SETTINGS, **LOGGED, ENABLED: "true"})).url
        assert url is not None
        client = OpenSearch(url, timeout=30)
        index_dishes(client, "dishes")
        set_endpoint(client, rewriter.address)
        search = PluginSearch(RunningNode(instance, version, url, client), "dishes", pipeline="")
        yield PluginSearch(search.node, "dishes", search.create_pipeline())
        client.close()
    finally:
        instance.delete()


def by(query_id: str, event_time: object) -> dict[str, Any]:
    return {
        "query": match(TYPO),
        "ext": {"ubi": {"query_id": query_id}, "iterqr": {"event_time": event_time}},
    }


def logged(plugin: PluginSearch, query_id: str, index: str) -> dict[str, Any]:
    """The one document of a search, as soon as it is written."""
    eventually(lambda: bool(written(plugin, query_id, index)))
    (document,) = written(plugin, query_id, index)
    return document


def written(plugin: PluginSearch, query_id: str, index: str) -> list[dict[str, Any]]:
    plugin.client.indices.refresh(index=index, params={"ignore_unavailable": "true"})
    try:
        found = plugin.client.search(
            index=index,
            body={"query": {"term": {"query_id": query_id}}},
            params={"ignore_unavailable": "true"},
        )
    except TransportError as error:
        if error.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
            raise
        return []  # the index has just been made, and its shard has not started
    return [hit["_source"] for hit in hits(found)]


@pytest.mark.parametrize(
    ("told", "time"),
    [
        ("2031-05-06T09:08:09.123456+02:00", "2031-05-06T07:08:09.123Z"),
        (86_400_000, "1970-01-02T00:00:00Z"),
    ],
)
def test_impression_and_query_are_of_the_time_that_the_search_says(
    simulated: PluginSearch, told: object, time: str
) -> None:
    query_id = uuid.uuid4().hex
    assert outcome(simulated.search(by(query_id, told))) == "fused"
    assert logged(simulated, query_id, IMPRESSIONS)["@timestamp"] == time
    assert logged(simulated, query_id, "ubi_queries")["timestamp"] == time


def test_a_search_without_it_is_of_now(simulated: PluginSearch) -> None:
    query_id = uuid.uuid4().hex
    simulated.search({"query": match(TYPO), "ext": {"ubi": {"query_id": query_id}}})
    assert logged(simulated, query_id, IMPRESSIONS)["@timestamp"] > "2025"


@pytest.mark.parametrize("told", ["yesterday", "1969-12-31T23:59:59Z", 253_402_300_800_000, True])
def test_what_is_no_time_is_refused_by_name(simulated: PluginSearch, told: object) -> None:
    assert "[ext.iterqr.event_time]" in str(refusal(lambda: simulated.search(by("q", told))))


def test_other_nodes_have_no_such_key(plugin: PluginSearch) -> None:
    assert "no key [event_time]" in str(refusal(lambda: plugin.search(by("q", 0))))


@pytest.mark.parametrize("version", [DEFAULT_VERSION, KNN_VERSION])
def test_a_node_that_others_may_reach_does_not_start_with_it(
    version: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    instance = NodeInstance.create(tmp_path_factory.mktemp("open") / "node", version)
    try:
        instance.install(build_plugin(version))
        with pytest.raises(NodeStartError) as refused:
            instance.start(NodeOptions(settings={ENABLED: "true", "http.bind_host": "0.0.0.0"}))  # noqa: S104
    finally:
        instance.delete()
    assert f"[{ENABLED}] is for development nodes only: [http.bind_host]" in str(refused.value)
