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
    kind: str = "onnx-int4",
    created_at: str = "2026-11-28T20:00:00Z",
    **manifest: Any,  # noqa: ANN401 - fields of the manifest
) -> Path:
    """Writes `parent/<id>` with these files (by path) as its one artifact."""
    folder = parent / checkpoint_id
    content = files or {"onnx/model.onnx": f"graph of {checkpoint_id}".encode()}
    listed = []
    for path, data in content.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        listed.append({"path": path, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    document = {
        "manifest_version": 1,
        "checkpoint_id": checkpoint_id,
        "parent_checkpoint_id": None,
        "base_model": dict(BASE),
        "format_version": "v1",
        "artifacts": [{"kind": kind, "files": listed}],
        "gate_report": None,
        "data_sha256": None,
        "created_at": created_at,
    }
    write_manifest(folder / "manifest.json", document | manifest)
    return folder
