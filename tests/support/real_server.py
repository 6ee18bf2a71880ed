"""`iterqr-server serve` with the real model, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.rewrite_server import free_port

COMMAND = Path(sys.executable).with_name("iterqr-server")
_READY_TIMEOUT_S = 180.0


class RealServer:
    """The command-line server, always on the same port. Flags are those of `iterqr-server serve`."""

    def __init__(self, log: Path, **flags: str) -> None:
        self.port = free_port()
        self.log = log
        self._flags = {"grpc.port": str(self.port), "telemetry.prometheus_port": "0", **flags}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when its health says SERVING."""
        flags = [part for name, value in self._flags.items() for part in (f"--{name}", value)]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen([COMMAND, "serve", *flags], stdout=output, stderr=output)
        with grpc.insecure_channel(self.address) as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)  # has no types
            deadline = time.monotonic() + _READY_TIMEOUT_S
            while not self._is_serving(health):
                assert self._process.poll() is None, f"the server ended\n{self.log.read_text()}"
                assert time.monotonic() < deadline, f"the server does not serve\n{self.log.read_text()}"
                time.sleep(0.1)

    def memory_mb(self) -> int:
        """What the process holds in memory."""
        assert self._process is not None, "not running"
        status = Path(f"/proc/{self._process.pid}/status").read_text("ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) >> 10

    def kill(self) -> None:
        """Ends it at once. Does nothing if it is not running."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @staticmethod
    def _is_serving(health: Any) -> bool:  # noqa: ANN401
        try:
            reply = health.Check(health_pb2.HealthCheckRequest(), timeout=5, wait_for_ready=True)
        except grpc.RpcError:
            return False
        serving: bool = reply.status == health_pb2.HealthCheckResponse.SERVING
        return serving


@contextmanager
def real_server(log: Path, **flags: str) -> Iterator[RealServer]:
    """Builds the model first if the cache does not have it, which takes minutes, then serves."""
    subprocess.run([COMMAND, "model", "build"], check=True, stdout=subprocess.DEVNULL)
    server = RealServer(log, **flags)
    try:
        server.start()
        yield server
    finally:
        server.kill()
