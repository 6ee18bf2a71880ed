"""Generates Python code and type stubs from the .proto files whenever the distribution is built or installed."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from grpc_tools import protoc
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent


class ProtocBuildHook(BuildHookInterface):  # type: ignore[type-arg,misc]
    """Writes `*_pb2.py`, `*_pb2_grpc.py` and their stubs beside the .proto files; the build fails if protoc does."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Called by hatchling before it collects files."""
        well_known = resources.files("grpc_tools") / "_proto"
        outputs = [f"--{kind}_out={ROOT}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
        protos = sorted(str(path) for path in ROOT.glob("iterqr/**/*.proto"))
        if protoc.main(["protoc", f"-I{ROOT}", f"-I{well_known}", *outputs, *protos]) != 0:
            raise RuntimeError("protoc refused a file; it has printed why")
