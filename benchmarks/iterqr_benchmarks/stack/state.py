"""What runs, written down so that another process can find and stop it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from iterqr_dev_node import NodeInstance, process


@dataclass(frozen=True, slots=True)
class StackState:
    """A running stack. `server_marker` is on the command line of the server and of no other process."""

    opensearch_version: str
    opensearch_url: str
    opensearch_pid: int
    server_address: str
    server_pid: int
    server_marker: str
    metrics_url: str
    started_at: str


@dataclass(frozen=True, slots=True)
class StackFolder:
    """Where a stack keeps what it needs: `state.json`, logs, the server's configuration, the node's folder."""

    path: Path

    @property
    def state_file(self) -> Path:
        """Processes and ports, while they run."""
        return self.path / "state.json"

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
    """Writes the state file, whole or not at all."""
    partial = folder.state_file.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(state), indent=2) + "\n")
    partial.replace(folder.state_file)


def read_state(folder: StackFolder) -> StackState | None:
    """The state as written; None if there is none or it is of another version of this program."""
    try:
        return StackState(**json.loads(folder.state_file.read_text()))
    except FileNotFoundError:
        return None
    except (TypeError, ValueError):  # a key more or less, or damaged: `down` still stops the node by its folder
        return None


def server_is_running(state: StackState) -> bool:
    """Whether the server's process lives."""
    return process.is_running(state.server_pid, state.server_marker)


def node_is_running(folder: StackFolder) -> bool:
    """Whether the node's process lives."""
    return (folder.node / "version").is_file() and NodeInstance(folder.node).status().is_running
