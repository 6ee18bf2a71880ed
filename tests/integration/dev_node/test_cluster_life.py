"""Three nodes: they become one cluster, lose one by a crash and by a freeze, and get it back."""

from __future__ import annotations

import pytest
from iterqr_dev_node import NodeError
from opensearchpy import OpenSearch
from support.opensearch_node import RunningCluster
from support.plugin_search import eventually

pytestmark = pytest.mark.node


def node_count(client: OpenSearch) -> int:
    count: int = client.cluster.health()["number_of_nodes"]
    return count


def test_three_nodes_are_one_cluster(plugin_cluster: RunningCluster) -> None:
    ids = {client.info()["cluster_uuid"] for client in plugin_cluster.clients}
    assert len(ids) == 1
    names = plugin_cluster.clients[0].cat.nodes(params={"h": "name", "format": "json"})
    assert sorted(node["name"] for node in names) == ["node-0", "node-1", "node-2"]
    plugins = plugin_cluster.clients[0].cat.plugins(params={"h": "name,component", "format": "json"})
    assert len([plugin for plugin in plugins if "iterqr" in plugin["component"]]) == 3


def test_a_node_that_crashes_is_missed_and_comes_back(plugin_cluster: RunningCluster) -> None:
    survivor = plugin_cluster.clients[0]
    plugin_cluster.kill(2)
    with pytest.raises(NodeError, match="is not running"):
        plugin_cluster.cluster.nodes[2].kill()
    eventually(lambda: node_count(survivor) == 2, timeout_s=30)
    plugin_cluster.start(2)
    assert node_count(survivor) == 3
    assert plugin_cluster.clients[2].ping()


def test_a_node_that_freezes_goes_on_where_it_was(plugin_cluster: RunningCluster) -> None:
    survivor = plugin_cluster.clients[0]
    plugin_cluster.cluster.nodes[1].freeze()
    try:
        assert survivor.info()["name"] == "node-0"
    finally:
        plugin_cluster.cluster.nodes[1].thaw()
    eventually(lambda: node_count(survivor) == 3, timeout_s=60)
    eventually(lambda: bool(plugin_cluster.clients[1].ping()), timeout_s=30)
