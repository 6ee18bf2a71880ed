"""A node of its own with a key for client ids, on which impressions are logged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from iterqr_dev_node import NodeInstance, NodeOptions, build_plugin
from iterqr_training.signals.collect.settings import CollectSettings
from opensearchpy import OpenSearch
from support.collecting import KEY, TestSignals
from support.dish_catalog import REWRITES, TYPO, index_dishes
from support.node_keystore_entry import put_in_keystore
from support.opensearch_node import DEFAULT_VERSION, TEST_SETTINGS, RunningNode
from support.plugin_search import PluginSearch, eventually, match, set_endpoint
from support.rewrite_server import rewrites_script, running_server


@pytest.fixture(scope="session")
def signals_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node with our plugin and a key."""
    instance = NodeInstance.create(tmp_path_factory.mktemp("signals") / "node", DEFAULT_VERSION)
    try:
        instance.install(build_plugin(DEFAULT_VERSION))
        put_in_keystore(instance, "plugins.iterqr.client_id.hash_key", KEY)
        url = instance.start(NodeOptions(settings=TEST_SETTINGS)).url
        assert url is not None
        with OpenSearch(url, timeout=30) as client:
            yield RunningNode(instance=instance, version=instance.version, url=url, client=client)
    finally:
        instance.delete()


@pytest.fixture(scope="session")
def logged_search(signals_node: RunningNode) -> Iterator[PluginSearch]:
    """Searches of dishes whose impressions and UBI queries are logged."""
    client = signals_node.client
    index_dishes(client, "dishes")
    with running_server(script=rewrites_script(REWRITES)) as server:
        set_endpoint(client, server.address)
        settings = {
            "plugins.iterqr.impressions.enabled": True,
            "plugins.iterqr.impressions.flush_interval": "50ms",
            "plugins.iterqr.ubi.write_queries": True,
        }
        client.cluster.put_settings(body={"persistent": settings})
        client.transport.perform_request("POST", "/_plugins/_iterqr/ubi/initialize")
        search = PluginSearch(signals_node, "dishes", pipeline="")
        yield PluginSearch(signals_node, "dishes", search.create_pipeline())
        set_endpoint(client, None)


@pytest.fixture
def signals(signals_node: RunningNode, logged_search: PluginSearch, tmp_path: Path) -> Iterator[TestSignals]:
    """Indices of this test's own, none of which is there yet."""
    eventually(lambda: _template_is_there(logged_search))
    names = {name: signals_node.unique_name(name) for name in ("impressions", "queries", "events")}
    settings = CollectSettings(names["impressions"], names["queries"], names["events"])
    yield TestSignals(signals_node, settings, tmp_path / "signals")
    for index in (names["queries"], names["events"]):
        signals_node.client.indices.delete(index=index, params={"ignore_unavailable": "true"})
    if signals_node.client.indices.exists(index=names["impressions"]):
        signals_node.client.transport.perform_request("DELETE", f"/_data_stream/{names['impressions']}")


def _template_is_there(search: PluginSearch) -> bool:
    """The plugin makes its template with the first impression."""
    if search.client.indices.exists_index_template(name="iterqr-impressions"):
        return True
    search.search({"query": match(TYPO)})
    return False
