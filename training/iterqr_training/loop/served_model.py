"""A rewrite server of the loop's own, for one model that must answer beside the one that has the traffic."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from iterqr_training.errors import SourceError
from iterqr_training.loop.own_process import own_process

_HOST = "127.0.0.1"
_LOCAL = [("grpc.enable_http_proxy", 0)]
_READY_S = 600.0  # the first start of a model builds it
_POLL_S = 0.2
_LINES_SHOWN = 10


@contextmanager
def served_model(name: str, flags: Mapping[str, str], folder: Path) -> Iterator[str]:
    """Serves a model while it is open, and gives its address.

    Args:
        name: For people and of the log, `<name>.log`.
        flags: Of `iterqr-server serve`, without the dashes; ports are chosen here.
        folder: Of the log.

    Raises:
        SourceError: It does not start; the message has the end of its log.
    """
    address = f"{_HOST}:{_free_port()}"
    given = {
        **flags,
        "telemetry.prometheus_port": str(_free_port()),
        "grpc.host": _HOST,
        "grpc.port": address.rpartition(":")[2],
    }
    command = [
        str(server_command()),
        "serve",
        *(part for flag, value in given.items() for part in (f"--{flag}", value)),
    ]
    log = folder / f"{name}.log"
    with own_process(command, log, folder / f"{name}.pid") as process:
        _wait_until_serving(name, address, process, log)
        yield address


def server_command() -> Path:
    """The `iterqr-server` beside this Python.

    Raises:
        SourceError: It is not installed.
    """
    command = Path(sys.executable).with_name("iterqr-server")
    if not command.is_file():
        raise SourceError(f"{command} is not there; iterqr-server must be installed beside iterqr-train")
    return command


def _wait_until_serving(name: str, address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _READY_S
    with grpc.insecure_channel(address, options=_LOCAL) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        while not _serves(health):
            if process.poll() is not None or time.monotonic() > deadline:
                lines = log.read_text("utf-8", errors="replace").splitlines()[-_LINES_SHOWN:]
                raise SourceError("\n  ".join([f"the server of {name} did not start; the end of {log}:", *lines]))
            time.sleep(_POLL_S)


def _serves(health: health_pb2_grpc.HealthStub) -> bool:
    try:
        reply = health.Check(health_pb2.HealthCheckRequest(), timeout=2.0)  # type: ignore[attr-defined]
    except grpc.RpcError:
        return False  # not listening yet; the caller asks again until its deadline
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port
