"""The rewrite server as a process: its configuration, its model, its start and its end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from iterqr_dev_node import process

from iterqr_benchmarks.errors import StackError
from iterqr_benchmarks.stack.state import ServerProcess, StackFolder, read_server, write_server

_POLL_S = 0.1
_LINES_SHOWN = 15
_LOCAL = [("grpc.enable_http_proxy", 0)]  # a proxy of this machine's user does not know this machine's ports

ServerSettings = Mapping[str, Mapping[str, str | int | float | bool]]


def server_command() -> Path:
    """The `iterqr-server` beside this Python.

    Raises:
        StackError: It is not installed.
    """
    command = Path(sys.executable).with_name("iterqr-server")
    if not command.is_file():
        raise StackError(f"{command} is not there; run `make up` or `make demo`, which install it")
    return command


class ModelBuild:
    """`iterqr-server model build`: downloads and builds the model into the cache, in a process of its own."""

    def __init__(self, folder: StackFolder, model: str) -> None:
        self._log = folder.model_log
        self._model = model
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._cancelled = False

    def run(self, on_line: Callable[[str], None]) -> str:
        """Builds the model and returns the folder it lies in.

        Args:
            on_line: Called with each line of progress.

        Raises:
            StackError: The build failed; the message has its last lines.
        """
        command = [str(server_command()), "model", "build", "--name", self._model]
        with self._log.open("w", encoding="utf-8") as log:
            with self._lock:
                if self._cancelled:
                    raise StackError("the build of the model was cancelled")
                self._process = subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
                )
            last = ""
            assert self._process.stdout is not None  # noqa: S101 - for the type checker
            with self._process.stdout as output:
                for line in output:
                    log.write(line)
                    log.flush()
                    if line.strip():
                        last = line.strip()
                        on_line(last)
            status = self._process.wait()
        if status:
            raise StackError(f"`iterqr-server model build` failed (exit {status})\n{last_lines(self._log)}")
        return last

    def cancel(self) -> None:
        """Ends the process and its download if they run, or keeps them from starting. Called from another thread."""
        with self._lock:
            self._cancelled = True
            if self._process is not None and self._process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGTERM)


def write_config(file: Path, settings: ServerSettings) -> None:
    """Writes a configuration file of the server."""
    sections = []
    for section, fields in settings.items():
        lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
        sections.append("\n".join([f"[{section}]", *lines]))
    file.write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def start_server(
    folder: StackFolder, address: str, *, cancelled: threading.Event, timeout_s: float = 180.0
) -> ServerProcess:
    """Starts the server with the folder's configuration and waits until its health is SERVING.

    Raises:
        StackError: It ended, did not serve within `timeout_s`, or `cancelled` was set; it is not left running.
    """
    marker = str(folder.server_config)
    command = [str(server_command()), "serve", "--config", marker]
    pid = process.spawn(command, folder=folder.path, environ=os.environ, log=folder.server_log, user=None)
    server = ServerProcess(pid=pid, marker=marker, address=address)
    write_server(folder, server)
    try:
        _wait_until_serving(server, folder.server_log, time.monotonic() + timeout_s, cancelled)
    except BaseException:
        stop_server(folder)
        raise
    return server


def stop_server(folder: StackFolder) -> bool:
    """Stops the server and waits until it has ended; kills it if it does not end. Tells whether it ran."""
    server = read_server(folder)
    if server is None:
        return False
    was_running = server.is_running
    process.stop(server.pid, server.marker, timeout_s=15.0)
    folder.server_file.unlink(missing_ok=True)
    return was_running


def last_lines(log: Path) -> str:
    """The end of a log, for an error message."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-_LINES_SHOWN:]
    except FileNotFoundError:
        return f"{log} was never written"
    return "\n".join([f"last lines of {log}:", *("  " + line for line in lines)])


def _wait_until_serving(server: ServerProcess, log: Path, deadline: float, cancelled: threading.Event) -> None:
    with grpc.insecure_channel(server.address, options=_LOCAL) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        while not _serves(health):
            if cancelled.is_set():
                raise StackError("the start was cancelled")
            if not server.is_running:
                raise StackError(f"the rewrite server ended while starting\n{last_lines(log)}")
            if time.monotonic() > deadline:
                raise StackError(f"the rewrite server did not get ready in time\n{last_lines(log)}")
            time.sleep(_POLL_S)


def _serves(health: health_pb2_grpc.HealthStub) -> bool:
    try:
        reply = health.Check(health_pb2.HealthCheckRequest(), timeout=2.0)  # type: ignore[attr-defined]
    except grpc.RpcError:
        return False  # not listening yet; the caller asks again until its deadline
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)
