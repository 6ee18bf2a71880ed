"""Generates Python code and type stubs from the .proto files, in the build and by `make proto`."""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent


def generate() -> None:
    """Writes `*_pb2.py`, `*_pb2_grpc.py` and their stubs beside the .proto files.

    Raises:
        SystemExit: protoc refused a file; it has printed why.
    """
    from grpc_tools import protoc

    protos = sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("iterqr/**/*.proto"))
    well_known = resources.files("grpc_tools") / "_proto"
    arguments = [
        "protoc", f"-I{ROOT}", f"-I{well_known}",
        f"--python_out={ROOT}", f"--grpc_python_out={ROOT}", f"--mypy_out={ROOT}", f"--mypy_grpc_out={ROOT}",
        *protos,
    ]  # fmt: skip
    if protoc.main(arguments) != 0:
        sys.exit("protoc failed")


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg,misc]
    """Runs `generate` before hatchling collects files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Called by hatchling."""
        generate()


if __name__ == "__main__":
    generate()
