"""A candidate that was evaluated becomes the checkpoint that is published: same artifacts, with why it was let through.

Evaluation needs a model that serves, and a checkpoint never changes: so a candidate is exported first, and sealed with
gate report and policy afterwards. Its artifacts are linked, not built again.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from iterqr_proto.manifest import ManifestError, read_manifest
from iterqr_proto.registry import CheckpointDamagedError, artifact_files, check_folder

from iterqr_training.errors import ExportError
from iterqr_training.export.checkpoint_folder import HF, MANIFEST_FILE, assembled, checkpoint_name, describe
from iterqr_training.export.documents import Documents, documents_in
from iterqr_training.export.hf_check import check_hf_folder
from iterqr_training.export.settings import check_ids

_MODEL_ID_CHARACTERS = 64  # of a checkpoint's id that a built model's id begins with


@dataclass(frozen=True, slots=True)
class SealSettings:
    """Which candidate becomes what. What is not given here stays as the candidate has it."""

    candidate: Path
    out: Path
    documents: Documents
    checkpoint_id: str | None = None
    parent: str | None = None

    def __post_init__(self) -> None:
        check_ids(self.checkpoint_id, self.parent)


@dataclass(frozen=True, slots=True)
class SealedCheckpoint:
    """A checkpoint's folder that is whole."""

    folder: Path
    manifest: dict[str, Any]


def seal(settings: SealSettings, now: datetime) -> SealedCheckpoint:
    """Makes `settings.out/<checkpoint id>` of the candidate's artifacts.

    Raises:
        ExportError: The candidate is damaged, or the gate report is of another one; nothing is left behind.
    """
    candidate = settings.candidate
    try:
        manifest = read_manifest(candidate / MANIFEST_FILE)
        files = artifact_files(manifest)
        check_folder(candidate, files)
    except (OSError, ManifestError, CheckpointDamagedError) as error:
        raise ExportError(f"--candidate {candidate}: {error}") from error
    _check_gate_is_of(manifest["checkpoint_id"], settings.documents)
    documents = _with_what_it_has(settings.documents, documents_in(candidate, manifest))
    parent = settings.parent or manifest["parent_checkpoint_id"]
    base = manifest["base_model"]["name"]
    checkpoint_id = settings.checkpoint_id or checkpoint_name(
        base, [manifest["checkpoint_id"], [file.sha256 for file in files], parent, documents.digests()]
    )
    sealed = manifest | {
        "checkpoint_id": checkpoint_id,
        "parent_checkpoint_id": parent,
        "policy": documents.policy,
        "gate_report": documents.gate_reference(),
        "data_sha256": documents.data_sha256(),
        "created_at": now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    try:
        with assembled(settings.out, checkpoint_id) as folder:
            for file in files:
                (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
                _link(candidate / file.path, folder / file.path)
            documents.copy_into(folder)
            architecture = dataclasses.asdict(check_hf_folder(folder / HF).architecture)
            describe(folder, sealed, documents, architecture)
    except ManifestError as error:
        raise ExportError(f"--candidate {candidate}: {error}") from error
    return SealedCheckpoint(settings.out / checkpoint_id, sealed)


def _check_gate_is_of(candidate_id: str, documents: Documents) -> None:
    """A report names the checkpoint that the server told, which begins with the candidate's id."""
    identity = (documents.gate_report or {}).get("candidate_identity")
    if identity is not None and not str(identity).startswith(candidate_id[:_MODEL_ID_CHARACTERS]):
        raise ExportError(
            f"--gate-report {documents.gate_file}: it is of {identity}, and the candidate is {candidate_id}"
        )


def _with_what_it_has(given: Documents, present: Documents) -> Documents:
    has_gate, has_data = given.gate_file is not None, given.datasheet_file is not None
    return Documents(
        policy=present.policy if given.policy is None else given.policy,
        gate_report=given.gate_report if has_gate else present.gate_report,
        gate_file=given.gate_file if has_gate else present.gate_file,
        datasheet=given.datasheet if has_data else present.datasheet,
        datasheet_file=given.datasheet_file if has_data else present.datasheet_file,
    )


def _link(source: Path, target: Path) -> None:
    """The same file under a second name where the file system allows it, else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
