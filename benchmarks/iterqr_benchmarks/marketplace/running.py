"""A node and a rewrite server with a world, started for a run and stopped after it; the node's data is kept.

What is killed at any moment is found by the next start in the same folder: node and server are stopped, the node
starts again with what it had, or from nothing if its world was not complete.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from iterqr_dev_node import NodeInstance, NodeOptions, build_plugin, ensure_layout
from opensearchpy import OpenSearch

from iterqr_benchmarks.errors import MarketplaceError
from iterqr_benchmarks.marketplace.live import fill_node, open_arms
from iterqr_benchmarks.marketplace.settings import WorldSettings
from iterqr_benchmarks.progress import Steps, step
from iterqr_benchmarks.report.json_file import write_whole
from iterqr_benchmarks.stack.lifecycle import free_port, server_settings
from iterqr_benchmarks.stack.server_process import ModelBuild, start_server, stop_server, write_config
from iterqr_benchmarks.stack.settings import StackSettings
from iterqr_benchmarks.stack.state import StackFolder

_HEAP_MB = 1_024
_HASH_KEY = "plugins.iterqr.client_id.hash_key"
EVENT_TIME = "plugins.iterqr.dev.event_time"
# Of made-up users: it protects nobody, and whoever compares a ledger's clients with the node's needs it.
CLIENT_ID_KEY = "key of the made-up marketplace"


@dataclass(frozen=True, slots=True)
class RunningMarket:
    """Where node and server answer."""

    url: str
    server_address: str


@contextmanager
def running_market(
    folder: StackFolder, world: WorldSettings, settings: StackSettings, steps: Steps
) -> Iterator[RunningMarket]:
    """Runs node and server with a world while it is open.

    Args:
        folder: For node, server and logs; one process at a time works in it.
        world: Put into the node unless it is there.
        settings: Of the stack; its seed is not used, the world has its own.
        steps: Told of the progress.

    Raises:
        MarketplaceError: The folder's node has another world.
        StackError, DevNodeError: Node or server do not start; neither is left running.
    """
    address = server_address(settings)
    with running_node(folder, world, settings, address, steps) as url:
        try:
            with step(steps, "rewrite server") as work:
                ModelBuild(folder, settings.model).run(work.detail)
                http_port = int(url.rpartition(":")[2])
                write_config(folder.server_config, server_settings(settings, http_port, address, free_port()))
                start_server(folder, address, cancelled=threading.Event(), timeout_s=600.0)
                work.result = f"serves gRPC at {address}"
            yield RunningMarket(url, address)
        finally:
            stop_server(folder)


@contextmanager
def running_node(
    folder: StackFolder, world: WorldSettings, settings: StackSettings, address: str, steps: Steps
) -> Iterator[str]:
    """Runs the node alone while it is open, and gives its URL; as `running_market`, but for the server.

    Args:
        folder: For node and logs; one process at a time works in it.
        world: Put into the node unless it is there.
        settings: Of the stack.
        address: Where the plugin looks for a server.
        steps: Told of the progress.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    stop_server(folder)
    node = NodeInstance(folder.node)
    if (folder.node / "version").is_file():
        node.stop()
    try:
        yield _start_node(folder, world, settings, address, steps)
    finally:
        if (folder.node / "version").is_file():
            node.stop()


def world_is_there(folder: StackFolder) -> bool:
    """Tells whether a node is there that has all of a world."""
    return (folder.node / "world").is_file() and (folder.node / "version").is_file()


def server_address(settings: StackSettings) -> str:
    """Returns where the server is to listen."""
    return f"127.0.0.1:{settings.grpc_port or free_port()}"


def _start_node(folder: StackFolder, world: WorldSettings, settings: StackSettings, address: str, steps: Steps) -> str:
    """Starts the node, with the world that it has or a fresh one; returns its address."""
    name = hashlib.sha256(json.dumps(asdict(world)).encode()).hexdigest()
    complete = folder.node / "world"  # written when the node has all of it
    had = complete.read_text().strip() if world_is_there(folder) else ""
    if had and had != name:
        raise MarketplaceError(f"the node in {folder.path} has another world; choose another folder, or begin anew")
    version = settings.opensearch_version
    with step(steps, "node") as work:
        ensure_layout(version)
        if not had:
            NodeInstance(folder.node).delete()
        node = NodeInstance.create(folder.node, version)
        node.install(build_plugin(version), replace=True)
        node.put_secret(_HASH_KEY, CLIENT_ID_KEY)
        own = {"plugins.iterqr.server.endpoints": address, EVENT_TIME: "true"}
        url = node.start(NodeOptions(http_port=settings.http_port, heap_mb=_HEAP_MB, settings=own)).url
        if url is None:
            raise MarketplaceError(f"the node ended after it had started; see {node.log}")
        work.result = f"OpenSearch {version} answers at {url}"
    with OpenSearch(url, timeout=120) as client:
        if not had:
            with step(steps, "world") as work:
                filled = fill_node(client, world, work.detail)
                write_whole(complete, name + "\n")
                work.result = f"{filled.dishes:,} dishes, {filled.hints:,} hint documents"
        open_arms(client, settings.channel)
    return url
