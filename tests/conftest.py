"""Fixtures that tests of several layers share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from iterqr_server.config import ModelConfig
from iterqr_server.models.builder import prepare_model

# Tests start nodes and servers while gRPC's threads run. Its fork handlers would start threads in the children too, and
# some children die of that before they become the node.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

pytest_plugins = ["support.opensearch_node"]


@pytest.fixture(scope="session")
def model_folder() -> Path:
    """The default model, downloaded and built into ITERQR_CACHE if it is not there. For tests marked `model`."""
    return prepare_model(ModelConfig().name, show_progress=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fault-seconds", type=float, default=1.5, help="how long each fault of the fault matrix lasts (default 1.5)"
    )
    parser.addoption(
        "--fault-noise-ms",
        type=float,
        default=60.0,
        help="how much more than budget_ms + 20 ms the 99th percentile may add, on a busy machine (default 60)",
    )
