"""What installing the server brings: no torch, and less than 400 MB."""

from __future__ import annotations

from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

MAX_BYTES = 400_000_000
FORBIDDEN = {"torch", "transformers", "tensorflow", "jax"}


def closure(name: str) -> dict[str, Distribution]:
    """All installed distributions that one needs here, itself included."""
    found: dict[str, Distribution] = {}
    open_requirements = [Requirement(name)]
    while open_requirements:
        requirement = open_requirements.pop()
        key = canonicalize_name(requirement.name)
        installed = found.setdefault(key, distribution(requirement.name))
        for line in installed.requires or []:
            needed = Requirement(line)
            extras = requirement.extras or {""}
            applies = needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras)
            if applies and (canonicalize_name(needed.name) not in found or needed.extras):
                open_requirements.append(needed)
    return found


def size_bytes(installed: Distribution) -> int:
    return sum(path.stat().st_size for file in installed.files or [] if (path := Path(str(file.locate()))).is_file())


@pytest.fixture(scope="module")
def server() -> dict[str, Distribution]:
    return closure("iterqr-server")


def test_the_walk_sees_what_is_needed(server: dict[str, Distribution]) -> None:
    assert {"onnxruntime", "grpcio", "tokenizers", "iterqr-proto", "aiohttp"} <= server.keys()


def test_server_needs_no_training_framework(server: dict[str, Distribution]) -> None:
    assert not FORBIDDEN & server.keys()


def test_server_is_small(server: dict[str, Distribution]) -> None:
    assert sum(map(size_bytes, server.values())) < MAX_BYTES
