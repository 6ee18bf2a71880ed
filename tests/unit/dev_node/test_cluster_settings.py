from pathlib import Path

import pytest
from iterqr_dev_node import Cluster, NodeError
from iterqr_dev_node.cluster import cluster_settings, node_names

PORTS = (9301, 9302, 9303)


def test_every_node_knows_all_and_has_its_own_port_and_name() -> None:
    settings = [cluster_settings(number, PORTS) for number in range(3)]
    assert [each["transport.port"] for each in settings] == ["9301", "9302", "9303"]
    assert [each["node.name"] for each in settings] == list(node_names(3))
    assert {each["discovery.seed_hosts"] for each in settings} == {"127.0.0.1:9301,127.0.0.1:9302,127.0.0.1:9303"}
    assert {each["cluster.initial_cluster_manager_nodes"] for each in settings} == {"node-0,node-1,node-2"}
    assert len({each["cluster.name"] for each in settings}) == 1


def test_one_node_is_no_cluster(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="at least 2 nodes, not 1"):
        Cluster.create(tmp_path, size=1)
