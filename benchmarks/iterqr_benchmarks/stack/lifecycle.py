"""Starts and stops a stack.

Two lanes run side by side, as neither needs the other until the end: OpenSearch (assemble, build the plugin, start,
index) and the rewrite server (build the model, start, wait for SERVING). Whatever goes wrong, a failure or Ctrl-C,
nothing is left running.
"""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import UTC, datetime

from filelock import FileLock, Timeout
from iterqr_dev_node import MavenProgress, NodeInstance, NodeOptions, build_plugin, ensure_layout
from opensearchpy import OpenSearch

from iterqr_benchmarks.catalog import Catalog
from iterqr_benchmarks.errors import StackBusyError, StackError
from iterqr_benchmarks.index import DISHES_INDEX, HINTS_INDEX
from iterqr_benchmarks.progress import Step, Steps, step
from iterqr_benchmarks.stack.indexing import create_pipeline
from iterqr_benchmarks.stack.server_process import (
    ModelBuild,
    ServerSettings,
    start_server,
    stop_server,
    write_config,
)
from iterqr_benchmarks.stack.settings import StackSettings
from iterqr_benchmarks.stack.state import ServerProcess, StackFolder, StackState, write_state
from iterqr_benchmarks.stack.world import fill_world

_HOST = "127.0.0.1"


@contextmanager
def exclusive(folder: StackFolder) -> Iterator[None]:
    """Holds the stack's lock while it is started, used for a demo, or stopped.

    Raises:
        StackBusyError: Another process holds it.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.lock_file)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise StackBusyError(f"another iterqr-bench is at work in {folder.path}; wait for it or stop it") from error
    try:
        yield
    finally:
        lock.release()


def start_stack(folder: StackFolder, settings: StackSettings, catalog: Catalog, steps: Steps) -> StackState:
    """Starts node and server, indexes the demo's world, creates the pipeline, and writes the state file.

    What an earlier stack left in the folder is stopped and deleted first.

    Raises:
        StackError, DevNodeError: It could not be started; nothing is left running.
    """
    stop_stack(folder)
    shutil.rmtree(folder.node, ignore_errors=True)
    http_port = settings.http_port or free_port()
    address = f"{_HOST}:{settings.grpc_port or free_port()}"
    metrics_port = free_port()
    write_config(folder.server_config, server_settings(settings, http_port, address, metrics_port))
    starting = _Starting(folder, settings, catalog, steps, http_port, address)
    try:
        server = starting.run()
    except BaseException:
        stop_stack(folder)
        raise
    node = NodeInstance(folder.node).status()
    if node.pid is None or node.url is None:
        raise StackError(f"the node ended after it had started; see {folder.last_node_log}")
    state = StackState(
        opensearch_version=settings.opensearch_version,
        opensearch_url=node.url,
        opensearch_pid=node.pid,
        server_address=address,
        server_pid=server.pid,
        metrics_url=f"http://{_HOST}:{metrics_port}/metrics",
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_state(folder, state)
    return state


def stop_stack(folder: StackFolder) -> bool:
    """Stops node and server and waits until both have ended; tells whether there was anything to stop."""
    found = stop_server(folder)
    folder.state_file.unlink(missing_ok=True)
    if (folder.node / "version").is_file():
        instance = NodeInstance(folder.node)
        found = found or instance.status().is_running
        instance.stop()
        if instance.log.is_file():
            shutil.copyfile(instance.log, folder.last_node_log)
        instance.delete()
    return found


class _Cancelled(Exception):  # noqa: N818 - no error: the other lane failed or the user interrupted
    """Ends a lane that is not needed any more."""


class _Starting:
    """One start: two lanes on two threads, and the way to end both."""

    def __init__(
        self,
        folder: StackFolder,
        settings: StackSettings,
        catalog: Catalog,
        steps: Steps,
        http_port: int,
        address: str,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._catalog = catalog
        self._steps = steps
        self._http_port = http_port
        self._address = address
        self._cancelled = threading.Event()
        self._model = ModelBuild(folder, settings.model)
        self._server: ServerProcess | None = None

    def run(self) -> ServerProcess:
        """Runs both lanes to their end; if one fails, the other is ended and its error raised."""
        with ThreadPoolExecutor(max_workers=2) as threads:
            lanes = [threads.submit(self._opensearch_lane), threads.submit(self._server_lane)]
            try:
                wait(lanes, return_when=FIRST_EXCEPTION)
                for lane in lanes:
                    if lane.done() and lane.exception() is not None:
                        lane.result()
            except BaseException:
                self._cancel()
                wait(lanes)
                raise
        if self._server is None:
            raise StackError("the rewrite server was not started")
        return self._server

    def _cancel(self) -> None:
        self._cancelled.set()
        self._model.cancel()
        if (self._folder.node / "version").is_file():
            NodeInstance(self._folder.node).stop()  # a node that is starting ends its lane

    def _step(self, name: str, work: Callable[[Step], None]) -> None:
        if self._cancelled.is_set():
            raise _Cancelled
        with step(self._steps, name) as reported:
            work(reported)

    def _opensearch_lane(self) -> None:
        version = self._settings.opensearch_version
        self._step(f"OpenSearch {version}", self._assemble)
        self._step("plugin", self._build_plugin)
        self._step("node", self._start_node)
        self._step("index", self._index)

    def _server_lane(self) -> None:
        self._step("model", self._build_model)
        self._step("rewrite server", self._start_server)

    def _assemble(self, reported: Step) -> None:
        ensure_layout(self._settings.opensearch_version, _maven_listener(reported))
        NodeInstance.create(self._folder.node, self._settings.opensearch_version)
        reported.result = "assembled from Maven Central, kept in the cache"

    def _build_plugin(self, reported: Step) -> None:
        zip_path = build_plugin(self._settings.opensearch_version, on_progress=_maven_listener(reported))
        name = NodeInstance(self._folder.node).install(zip_path, replace=True)
        reported.result = f"{zip_path.name} installed as {name}"

    def _start_node(self, reported: Step) -> None:
        settings = {"plugins.iterqr.server.endpoints": self._address}
        options = NodeOptions(http_port=self._http_port, settings=settings)
        status = NodeInstance(self._folder.node).start(options)
        reported.result = f"answers at {status.url}"

    def _index(self, reported: Step) -> None:
        with OpenSearch(f"http://{_HOST}:{self._http_port}", timeout=60) as client:
            filled = fill_world(client, self._catalog, self._settings.seed, reported.detail)
            create_pipeline(client, self._settings.channel)
        reported.result = f"{filled.dishes:,} dishes, {filled.hints:,} hint documents, pipeline created"

    def _build_model(self, reported: Step) -> None:
        self._model.run(reported.detail)
        if self._cancelled.is_set():
            raise _Cancelled
        reported.result = f"{self._settings.model}, kept in the cache"

    def _start_server(self, reported: Step) -> None:
        self._server = start_server(self._folder, self._address, cancelled=self._cancelled)
        reported.result = f"serves gRPC at {self._address}"


def server_settings(settings: StackSettings, http_port: int, address: str, metrics_port: int) -> ServerSettings:
    """Returns the configuration of a stack's server, which reads its hints from the stack's node."""
    host, _, port = address.rpartition(":")
    return {
        "grpc": {"host": host, "port": int(port)},
        "model": {"name": settings.model},
        "hints": {
            "url": f"http://{_HOST}:{http_port}",
            "index": HINTS_INDEX,
            "catalog_index": DISHES_INDEX,
            "budget_ms": settings.hints_budget_ms,
        },
        "checkpoints": {"registry": settings.registry},
        "rewrite": {
            "template": settings.template,
            "min_rewrites": settings.min_rewrites,
            "default_deadline_ms": settings.channel.budget_ms,
        },
        "telemetry": {"prometheus_port": metrics_port},
    }


def _maven_listener(reported: Step) -> Callable[[MavenProgress], None]:
    def on_progress(now: MavenProgress) -> None:
        reported.detail(f"Maven: {now.project}  {now.files} files, {now.downloaded_bytes / 1e6:.0f} MB")

    return on_progress


def free_port() -> int:
    """Returns a port of this machine that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port
