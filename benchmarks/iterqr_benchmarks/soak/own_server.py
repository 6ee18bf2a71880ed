"""A rewrite server of the soak's own, with the real model."""

from __future__ import annotations

import threading

from iterqr_benchmarks.stack.lifecycle import free_port
from iterqr_benchmarks.stack.server_process import start_server, stop_server, write_config
from iterqr_benchmarks.stack.state import StackFolder

_START_TIMEOUT_S = 600.0


class OwnServer:
    """Always at the same address."""

    def __init__(self, folder: StackFolder, model: str) -> None:
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self._folder = folder
        stop_server(folder)  # of an earlier run that was killed
        write_config(
            folder.server_config,
            {
                "grpc": {"port": port},
                "model": {"name": model},
                "hints": {"url": ""},
                "telemetry": {"prometheus_port": 0, "log_level": "warning"},
            },
        )

    def start(self) -> None:
        """Returns when it serves."""
        start_server(self._folder, self.address, cancelled=threading.Event(), timeout_s=_START_TIMEOUT_S)

    def stop(self) -> None:
        """Returns when it has ended; does nothing if it does not run."""
        stop_server(self._folder)
