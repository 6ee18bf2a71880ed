"""Real OpenSearch nodes for tests: started when first asked for, once a session for each version.

`opensearch_node` is the default version with our plugin. `plugin_node` runs a test on every version we build for, the
older one with the k-NN plugin beside ours. `plugin_cluster` is three nodes of the default version. Tests share the
nodes, so each takes index and pipeline names of its own and restores what it changes for the whole cluster. The cache
of replies is off. Where tests run side by side (`pytest -n 2 --dist loadgroup`), those that share a node run in one
process, and so do those of one file.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from iterqr_dev_node import Cluster, NodeInstance, NodeOptions, build_plugin, ensure_knn_zip
from opensearchpy import OpenSearch

DEFAULT_VERSION = "3.8.0"
KNN_VERSION = "3.6.0"
# Tests say what the server answers to each search; those of the cache turn it on.
TEST_SETTINGS = {"plugins.iterqr.client.cache.enabled": "false"}


@dataclass(frozen=True, slots=True)
class RunningNode:
    """A node that answers, and a client of it."""

    instance: NodeInstance
    version: str
    url: str
    client: OpenSearch

    def unique_name(self, prefix: str) -> str:
        """An index or pipeline name that no other test uses."""
        return f"{prefix}-{uuid.uuid4().hex[:8]}"


@dataclass(slots=True)
class RunningCluster:
    """Nodes that answer as one, and a client of each that asks no other."""

    cluster: Cluster
    clients: list[OpenSearch]

    def unique_name(self, prefix: str) -> str:
        """An index or pipeline name that no other test uses."""
        return f"{prefix}-{uuid.uuid4().hex[:8]}"

    def kill(self, number: int) -> None:
        """Ends a node as a crash does."""
        self.clients[number].close()
        self.cluster.nodes[number].kill()

    def start(self, number: int) -> None:
        """Starts a node that was killed; it answers at another port than before."""
        self.clients[number] = _client(self.cluster.start_node(number))


# Session fixtures that take seconds to make, by what is made once for all who ask for one of them.
_SHARED = {
    "plugin_cluster": "cluster",
    "knn_node": KNN_VERSION,
    "market": "market",
    "signals_node": "signals",
    "node_pool": DEFAULT_VERSION,
}


class NodePool:
    """Starts nodes on demand and keeps them until the session ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._nodes: dict[str, RunningNode] = {}
        self._cluster: RunningCluster | None = None

    def get(self, version: str) -> RunningNode:
        if version not in self._nodes:
            self._nodes[version] = self._start(version)
        return self._nodes[version]

    def cluster(self) -> RunningCluster:
        """Three nodes of the default version with our plugin."""
        if self._cluster is None:
            cluster = Cluster.create(self._folder / "cluster", size=3, version=DEFAULT_VERSION)
            cluster.install(build_plugin(DEFAULT_VERSION))
            try:
                urls = cluster.start(NodeOptions(settings=TEST_SETTINGS))
            except BaseException:
                cluster.delete()
                raise
            self._cluster = RunningCluster(cluster, [_client(url) for url in urls])
        return self._cluster

    def close(self) -> None:
        for node in self._nodes.values():
            node.client.close()
            node.instance.delete()
        self._nodes.clear()
        if self._cluster is not None:
            for client in self._cluster.clients:
                client.close()
            self._cluster.cluster.delete()
            self._cluster = None

    def _start(self, version: str) -> RunningNode:
        instance = NodeInstance.create(self._folder / version, version)
        instance.install(build_plugin(version))
        if version == KNN_VERSION:
            instance.install(ensure_knn_zip(version))
        try:
            url = instance.start(NodeOptions(settings=TEST_SETTINGS)).url
        except BaseException:
            instance.delete()
            raise
        assert url is not None
        return RunningNode(instance=instance, version=version, url=url, client=_client(url))


def _client(url: str) -> OpenSearch:
    return OpenSearch(url, timeout=30)


@pytest.fixture(scope="session")
def node_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodePool]:
    pool = NodePool(tmp_path_factory.mktemp("nodes"))
    yield pool
    pool.close()


@pytest.fixture(scope="session")
def opensearch_node(node_pool: NodePool) -> RunningNode:
    """A node of the default version with our plugin."""
    return node_pool.get(DEFAULT_VERSION)


@pytest.fixture(scope="session", params=[DEFAULT_VERSION, KNN_VERSION])
def plugin_node(request: pytest.FixtureRequest, node_pool: NodePool) -> RunningNode:
    """A node with our plugin, of each version in turn."""
    return node_pool.get(request.param)


@pytest.fixture(scope="session")
def knn_node(node_pool: NodePool) -> RunningNode:
    """A node with our plugin and the k-NN plugin."""
    return node_pool.get(KNN_VERSION)


@pytest.fixture(scope="session")
def plugin_cluster(node_pool: NodePool) -> RunningCluster:
    """Three nodes with our plugin."""
    return node_pool.cluster()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts tests into groups, each of which runs in one process."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))


def _group(item: pytest.Item) -> str:
    if isinstance(item, pytest.Function):
        parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
        for version in (DEFAULT_VERSION, KNN_VERSION):
            if version in parameters:
                return version
        for fixture, group in _SHARED.items():
            if fixture in item.fixturenames:
                return group
    return item.path.stem
