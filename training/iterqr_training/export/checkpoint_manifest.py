"""The manifest of an exported checkpoint; pure but for reading the files that it lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from iterqr_proto.rewrite_format import FORMAT_VERSION
from iterqr_server.models.cache import sha256_of
from iterqr_server.models.progress import ProgressListener

from iterqr_training.export.prompt_template import PromptTemplate
from iterqr_training.export.training_run import Base


@dataclass(frozen=True, slots=True)
class Artifact:
    """Files of one kind, as the manifest names it; paths are relative to the checkpoint's folder."""

    kind: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a checkpoint comes from and why it was let through. `created_at` has a time zone."""

    checkpoint_id: str
    parent: str | None
    base: Base
    prompt: PromptTemplate
    policy: Mapping[str, Any] | None
    gate_report: Mapping[str, Any] | None
    data_sha256: str | None
    created_at: datetime


def artifacts_in(folder: Path, kinds: Mapping[str, str]) -> tuple[Artifact, ...]:
    """Returns what lies in the folders of a checkpoint, as far as they are there: `kinds` by folder name."""
    found = []
    for name, kind in kinds.items():
        files = sorted(path for path in (folder / name).rglob("*") if path.is_file())
        if files:
            found.append(Artifact(kind, tuple(path.relative_to(folder).as_posix() for path in files)))
    return tuple(found)


def build_manifest(
    folder: Path, lineage: Lineage, artifacts: Sequence[Artifact], listener: ProgressListener
) -> dict[str, Any]:
    """Returns the manifest of the artifacts in `folder`; reads every file for its digest."""
    sizes = {path: (folder / path).stat().st_size for artifact in artifacts for path in artifact.paths}
    listener.stage("digest artifacts", sum(sizes.values()))
    listed = [
        {
            "kind": artifact.kind,
            "files": [
                {"path": path, "size_bytes": sizes[path], "sha256": sha256_of(folder / path, listener.advance)}
                for path in artifact.paths
            ],
        }
        for artifact in artifacts
    ]
    return {
        "manifest_version": 1,
        "checkpoint_id": lineage.checkpoint_id,
        "parent_checkpoint_id": lineage.parent,
        "base_model": {"name": lineage.base.name, "sha256": lineage.base.sha256},
        "format_version": FORMAT_VERSION,
        "prompt_template": {"name": lineage.prompt.name, "sha256": lineage.prompt.sha256},
        "artifacts": listed,
        "policy": lineage.policy,
        "gate_report": lineage.gate_report,
        "data_sha256": lineage.data_sha256,
        "created_at": lineage.created_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
