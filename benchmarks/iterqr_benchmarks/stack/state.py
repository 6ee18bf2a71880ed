"""What runs, written down so that another process can find and stop it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from iterqr_dev_node import NodeInstance, process


@dataclass(frozen=True, slots=True)
class StackState:
    """A running stack, for people and for programs that want to use it."""

    opensearch_version: str
    opensearch_url: str
    opensearch_pid: int
    server_address: str
    server_pid: int
    metrics_url: str
    started_at: str


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A rewrite server's process. `marker` is on its command line and on that of no other process."""

    pid: int
    marker: str
    address: str

    @property
    def is_running(self) -> bool:
        """Whether the process lives; it may not serve yet."""
        return process.is_running(self.pid, self.marker)


@dataclass(frozen=True, slots=True)
class StackFolder:
    """Where a stack keeps what it needs: `state.json`, logs, the server's configuration, the node's folder."""

    path: Path

    @property
    def state_file(self) -> Path:
        """Processes and ports, while they run."""
        return self.path / "state.json"

    @property
    def server_file(self) -> Path:
        """The server's process, from the moment it was started."""
        return self.path / "server.json"

    @property
    def lock_file(self) -> Path:
        """Held by the process that starts or stops the stack."""
        return self.path / ".lock"

    @property
    def node(self) -> Path:
        """The node's own folder."""
        return self.path / "node"

    @property
    def last_node_log(self) -> Path:
        """Output of the node that ran last; while it runs, its output is in its own folder."""
        return self.path / "node.log"

    @property
    def server_config(self) -> Path:
        """Configuration file of the server."""
        return self.path / "server.toml"

    @property
    def server_log(self) -> Path:
        """The server's output: one JSON object a line."""
        return self.path / "server.log"

    @property
    def model_log(self) -> Path:
        """Output of `iterqr-server model build`."""
        return self.path / "model.log"


def write_state(folder: StackFolder, state: StackState) -> None:
    """Writes the state file."""
    _write(folder.state_file, asdict(state))


def read_state(folder: StackFolder) -> StackState | None:
    """The state as written; None if there is none."""
    written = _read(folder.state_file)
    try:
        return None if written is None else StackState(**written)
    except TypeError:  # of another version of this program
        return None


def write_server(folder: StackFolder, server: ServerProcess) -> None:
    """Notes the server's process, so that it is found again even if this program is killed."""
    _write(folder.server_file, asdict(server))


def read_server(folder: StackFolder) -> ServerProcess | None:
    """The server that was started last and not stopped; it may have died. None if there is none."""
    written = _read(folder.server_file)
    try:
        return None if written is None else ServerProcess(**written)
    except TypeError:
        return None


def server_is_running(folder: StackFolder) -> bool:
    """Whether the server's process lives."""
    server = read_server(folder)
    return server is not None and server.is_running


def node_is_running(folder: StackFolder) -> bool:
    """Whether the node's process lives."""
    return (folder.node / "version").is_file() and NodeInstance(folder.node).status().is_running


def _write(file: Path, content: dict[str, Any]) -> None:
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(file)


def _read(file: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None
