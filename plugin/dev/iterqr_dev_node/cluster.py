"""Several nodes on this machine that form one cluster."""

from __future__ import annotations

import json
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from iterqr_dev_node.components import DEFAULT_VERSION
from iterqr_dev_node.errors import NodeError, NodeStartError
from iterqr_dev_node.instance import NodeInstance, NodeOptions, NodeStatus
from iterqr_dev_node.maven import ProgressListener

_POLL_S = 0.1
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the nodes are on this machine


class Cluster:
    """Nodes that find each other, each an instance in a folder of its own below the cluster's.

    All may become cluster manager, so one in three can be lost. A single node is stopped, killed or frozen as any
    instance is, `cluster.nodes[2].kill()`, and comes back with `start_node`.
    """

    def __init__(self, folder: Path, nodes: Sequence[NodeInstance]) -> None:
        self.folder = folder
        self.nodes = tuple(nodes)
        self._options: tuple[NodeOptions, ...] = ()

    @classmethod
    def create(
        cls,
        folder: Path,
        size: int = 3,
        version: str = DEFAULT_VERSION,
        on_progress: ProgressListener | None = None,
    ) -> Cluster:
        """Makes the instances, or returns those that are there; see `NodeInstance.create`."""
        if size < 2:
            raise NodeError(f"a cluster has at least 2 nodes, not {size}")
        return cls(folder, [NodeInstance.create(folder / name, version, on_progress) for name in node_names(size)])

    def install(self, zip_path: Path, *, replace: bool = False) -> None:
        """Installs a plugin on every node; none may be running. See `NodeInstance.install`."""
        for node in self.nodes:
            node.install(zip_path, replace=replace)

    def start(self, options: NodeOptions | None = None, *, timeout_s: float = 240.0) -> tuple[str, ...]:
        """Starts all nodes at once, waits until they are one cluster and at least yellow, and returns their URLs.

        Args:
            options: Of each node. The HTTP port must be 0, settings of the discovery are the cluster's.
            timeout_s: For all of it.

        Raises:
            NodeError, NodeStartError, JavaNotFoundError: As `NodeInstance.start`; then no node is left running.
        """
        options = options or NodeOptions()
        deadline = time.monotonic() + timeout_s
        ports = _free_ports(len(self.nodes))
        self._options = tuple(
            NodeOptions(
                http_port=0,
                heap_mb=options.heap_mb,
                quick_start=options.quick_start,
                settings={**cluster_settings(number, ports), **(options.settings or {})},
            )
            for number in range(len(self.nodes))
        )
        try:
            with ThreadPoolExecutor(max_workers=len(self.nodes)) as pool:
                started = list(
                    pool.map(
                        lambda node, its_options: node.start(its_options, timeout_s=timeout_s),
                        self.nodes,
                        self._options,
                    )
                )
            self._wait_until_joined(_url(started[0]), deadline)
        except BaseException:
            self.stop()
            raise
        return tuple(_url(status) for status in started)

    def start_node(self, number: int, *, timeout_s: float = 120.0) -> str:
        """Starts a node that was stopped or killed, waits until all are there again, and returns its new URL.

        Raises:
            NodeError: If the cluster was never started, or the node is running.
            NodeStartError: If the node ended, or the cluster was not whole in time.
        """
        if not self._options:
            raise NodeError(f"the cluster in {self.folder} was not started")
        deadline = time.monotonic() + timeout_s
        url = _url(self.nodes[number].start(self._options[number], timeout_s=timeout_s))
        self._wait_until_joined(url, deadline)
        return url

    def stop(self) -> None:
        """Stops all nodes that run."""
        with ThreadPoolExecutor(max_workers=len(self.nodes)) as pool:
            list(pool.map(lambda node: node.stop(), self.nodes))

    def delete(self) -> None:
        """Stops all nodes and deletes all they have, data included."""
        self.stop()
        for node in self.nodes:
            node.delete()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait_until_joined(self, url: str, deadline: float) -> None:
        wanted = f"{url}/_cluster/health?wait_for_nodes={len(self.nodes)}&wait_for_status=yellow&timeout=2s"
        while True:
            try:
                with _DIRECT.open(wanted, timeout=10) as reply:
                    if not json.load(reply)["timed_out"]:
                        return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(_POLL_S)  # asked again below, until the deadline
            if time.monotonic() > deadline:
                raise NodeStartError(f"the nodes in {self.folder} did not become one cluster in time")


def node_names(size: int) -> tuple[str, ...]:
    """Of a cluster's nodes and their folders."""
    return tuple(f"node-{number}" for number in range(size))


def cluster_settings(number: int, transport_ports: Sequence[int]) -> Mapping[str, str]:
    """The settings by which one of the nodes finds the others.

    Args:
        number: Of the node, from 0.
        transport_ports: Of all nodes.
    """
    names = node_names(len(transport_ports))
    return {
        "cluster.name": "iterqr-dev-cluster",
        "node.name": names[number],
        "discovery.type": "zen",
        "discovery.seed_hosts": ",".join(f"127.0.0.1:{port}" for port in transport_ports),
        "cluster.initial_cluster_manager_nodes": ",".join(names),
        "transport.port": str(transport_ports[number]),
    }


def _free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, no two the same."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _url(status: NodeStatus) -> str:
    if status.url is None:
        raise NodeStartError(f"the node in {status.folder} ended while starting")
    return status.url
