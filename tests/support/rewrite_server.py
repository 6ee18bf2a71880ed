"""A real rewrite server over the predictable engine, for tests of the server and of what calls it.

In this process, on a thread with its own event loop, where a test wants to look inside:

    with running_server(script=script) as server:
        stub = QueryRewriteServiceStub(grpc.insecure_channel(server.address))

In a process of its own, where a test wants to stop, freeze or kill it:

    with rewrite_server_process({"pad tai": ["pad thai", "thai noodles"]}) as server:
        server.freeze()          # SIGSTOP: connections stay open, nothing answers
        server.thaw()
        server.stop()            # SIGTERM, drained; `kill` for SIGKILL; `start` again on the same port

Both listen on a free port, without hints and without a metrics endpoint unless `overrides` says otherwise:
`overrides={"rewrite": {"max_rewrites": 5}}`, as in the configuration file.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog
from iterqr_server.api.application import Application
from iterqr_server.checkpoints.loading import CheckpointEngines
from iterqr_server.config import Settings, settings_from
from iterqr_server.engine.interface import GenerationEngine
from iterqr_server.hints.interface import HintSource, NoHints
from iterqr_server.hints.opensearch_source import OpenSearchHints
from iterqr_server.telemetry.logs import configure_logs
from opentelemetry.sdk.trace import TracerProvider
from support.predictable import last_query, predictable_engine, scripted_rewrites

Overrides = Mapping[str, Mapping[str, Any]]
Script = Callable[[str], str]
T = TypeVar("T")

_READY_TIMEOUT_S = 60.0


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answer(query: str, rewrites: Sequence[str], fix: str = "", intent: str = "dish", meaning: str = "") -> str:
    """A well-formed model output."""
    lines = [f"fix: {fix or query}", f"intent: {intent}", f"meaning: {meaning or query}"]
    return "\n".join([*lines, *(f"rw: {rewrite}" for rewrite in rewrites)])


def rewrites_script(rewrites: Mapping[str, Sequence[str]]) -> Script:
    """A script that knows the rewrites of some queries (in lower case); others get none."""

    def script(prompt: str) -> str:
        query = last_query(prompt)
        return answer(query, rewrites.get(query, ()))

    return script


def settings_for_tests(overrides: Overrides | None = None) -> Settings:
    """Settings for tests: free port, no metrics endpoint, no hints, room for outputs of one token a byte."""
    values: dict[str, dict[str, Any]] = {
        "grpc": {"port": 0, "shutdown_grace_ms": 500},
        "hints": {"url": ""},
        "rewrite": {"max_new_tokens": 1000},
        "telemetry": {"prometheus_port": 0},
    }
    for section, fields in (overrides or {}).items():
        values[section] = {**values.get(section, {}), **fields}
    return settings_from(values)


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server in this process. `patience_s` is a generous time for anything it does."""

    address: str
    application: Application
    loop: asyncio.AbstractEventLoop
    patience_s: float = _READY_TIMEOUT_S

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs something on the server's event loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(self.patience_s)

    def metric(self, name: str, **labels: str) -> float:
        """The value of a metric; 0 if it was never counted."""
        return self.application.metrics.registry.get_sample_value(name, labels) or 0.0

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Returns once something is so that a metric shows; fails after a generous time."""
        deadline = time.monotonic() + self.patience_s
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.005)  # a busy loop would keep the server's threads from running


@contextmanager
def running_server(
    engine: GenerationEngine | None = None,
    *,
    open_engine: Callable[[], GenerationEngine] | None = None,
    script: Script = scripted_rewrites,
    overrides: Overrides | None = None,
    hints: HintSource | None = None,
    traces: TracerProvider | None = None,
    wait_until_serving: bool = True,
    checkpoint_engines: CheckpointEngines | None = None,
    patience_s: float = _READY_TIMEOUT_S,
) -> Iterator[RunningServer]:
    """Runs a server on a thread; stops it at the end. `engine` takes the place of the predictable one.

    `open_engine` does so where the server may open it more than once.
    """
    settings = settings_for_tests(overrides)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # tests read logs with capture_logs
    source = hints or (OpenSearchHints(settings.hints) if settings.hints.url else NoHints())
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        thread = threading.Thread(target=loop.run_forever, name="rewrite-server", daemon=True)
        thread.start()

        async def make() -> Application:
            async def open_base() -> GenerationEngine:
                if open_engine is not None:
                    return await asyncio.to_thread(open_engine)
                return engine or predictable_engine(script)

            return Application(settings, open_base, source, traces, checkpoint_engines)

        def run(coroutine: Coroutine[Any, Any, T]) -> T:
            return asyncio.run_coroutine_threadsafe(coroutine, loop).result(patience_s)

        application = run(make())
        try:
            run(application.listen())
            serving = asyncio.run_coroutine_threadsafe(application.serve(), loop)
            if wait_until_serving:
                serving.result(patience_s)
            yield RunningServer(f"127.0.0.1:{application.port}", application, loop, patience_s)
            serving.result(patience_s)
        finally:
            run(application.stop())
            loop.call_soon_threadsafe(loop.stop)
            thread.join()


class RewriteServerProcess:
    """A server in a process of its own, always on the same port."""

    def __init__(self, rewrites: Mapping[str, Sequence[str]], overrides: Overrides | None) -> None:
        self.port = free_port()
        values = {section: dict(fields) for section, fields in (overrides or {}).items()}
        values.setdefault("grpc", {})["port"] = self.port
        self._plan = json.dumps({"rewrites": {k: list(v) for k, v in rewrites.items()}, "overrides": values})
        self._process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        """As host:port."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None, "not running"
        return self._process.pid

    def start(self) -> None:
        """Returns when the server serves."""
        tests = str(Path(__file__).parent.parent)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.rewrite_server", self._plan],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": tests},
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line.strip() != "serving":
            self.kill()
            raise RuntimeError("the rewrite server did not start; see its log above")

    def freeze(self) -> None:
        """Stops the process's clock: connections stay, nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> int:
        """Ends it in good order and returns its exit code. Does nothing if it is not running."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it at once. Does nothing if it is not running."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        assert process.stdout is not None
        try:
            process.send_signal(signal.SIGCONT)
            process.send_signal(how)
            return process.wait(timeout=20)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


@contextmanager
def rewrite_server_process(
    rewrites: Mapping[str, Sequence[str]], overrides: Overrides | None = None
) -> Iterator[RewriteServerProcess]:
    """Runs a server that knows the rewrites of some queries (in lower case); others get none."""
    server = RewriteServerProcess(rewrites, overrides)
    try:
        server.start()
        yield server
    finally:
        server.kill()


async def _serve(plan: dict[str, Any]) -> None:
    settings = settings_for_tests(plan["overrides"])
    configure_logs("warning")  # on standard error: the parent reads standard output
    source = OpenSearchHints(settings.hints) if settings.hints.url else NoHints()

    async def open_engine() -> GenerationEngine:
        return predictable_engine(rewrites_script(plan["rewrites"]))

    application = Application(settings, open_engine, source)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    try:
        await application.listen()
        await application.serve()
        print("serving", flush=True)
        await stopped.wait()
    finally:
        await application.stop()


if __name__ == "__main__":
    asyncio.run(_serve(json.loads(sys.argv[1])))
