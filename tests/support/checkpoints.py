"""Checkpoint folders for tests: small files of given content under a true manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iterqr_proto.manifest import write_manifest

BASE: Mapping[str, str] = {"name": "base", "sha256": "a" * 64}


def checkpoint_folder(
    parent: Path,
    checkpoint_id: str,
    files: Mapping[str, bytes] | None = None,
    *,
    template: bytes = b"",
    kind: str = "onnx-int4",
    created_at: str = "2026-11-28T20:00:00Z",
    **manifest: Any,  # noqa: ANN401 - fields of the manifest
) -> Path:
    """Writes `parent/<id>` with these files (by path) as one artifact, and a prompt template as another."""
    folder = parent / checkpoint_id
    content = files or {"onnx/model.onnx": f"graph of {checkpoint_id}".encode()}
    artifacts = [{"kind": kind, "files": [_written(folder, path, data) for path, data in content.items()]}]
    if template:
        artifacts.append({"kind": "prompt-template", "files": [_written(folder, "template.toml", template)]})
    document = {
        "manifest_version": 1,
        "checkpoint_id": checkpoint_id,
        "parent_checkpoint_id": None,
        "base_model": dict(BASE),
        "format_version": "v1",
        "artifacts": artifacts,
        "gate_report": None,
        "data_sha256": None,
        "created_at": created_at,
    }
    write_manifest(folder / "manifest.json", document | manifest)
    return folder


def _written(folder: Path, path: str, data: bytes) -> dict[str, object]:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(data)
    return {"path": path, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
