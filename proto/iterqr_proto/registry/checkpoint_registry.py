"""Checkpoints that never change, and the state that says which take traffic.

<root>/checkpoints/<id>/manifest.json    a checkpoint is there exactly when its manifest is
<root>/checkpoints/<id>/...              the manifest's artifacts, cards and reports beside them
<root>/state.json                        `RegistryState`, replaced whole under the lease
<root>/leases/state/<number>.json        the lease of whoever writes the state
<root>/leases/reload/<number>.json       the lease of the server that exchanges its only model
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from iterqr_proto.manifest import ManifestError, check_manifest, read_manifest
from iterqr_proto.registry.artifacts import ArtifactFile, artifact_files, check_folder, checked
from iterqr_proto.registry.errors import (
    CheckpointDamagedError,
    CheckpointExistsError,
    CheckpointNotFoundError,
    LeaseLostError,
    StateConflictError,
)
from iterqr_proto.registry.lease import Lease
from iterqr_proto.registry.state import (
    RegistryState,
    Split,
    is_checkpoint_id,
    state_from_json,
    state_to_json,
)
from iterqr_proto.registry.storage import Storage

MANIFEST_FILE = "manifest.json"
STATE_FILE = "state.json"
STATE_LEASE_S = 10.0
PUBLISH_LEASE_S = 300.0
RELOAD_LEASE_S = 60.0
_CHECKPOINTS = "checkpoints"
_LEASES = "leases"
_INCOMING = ".incoming-"


@dataclass(frozen=True, slots=True)
class ListedCheckpoint:
    """One checkpoint of a listing. `problem` says why its manifest cannot be used; then `manifest` is None."""

    checkpoint_id: str
    manifest: dict[str, Any] | None
    problem: str = ""

    @property
    def created_at(self) -> datetime:
        """When it was made; the beginning of time where that is not known."""
        if self.manifest is None:
            return datetime.min.replace(tzinfo=UTC)
        made = datetime.fromisoformat(self.manifest["created_at"])
        return made if made.tzinfo else made.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class FetchedCheckpoint:
    """A checkpoint on the local disk, held against its digests. `files` are those fetched."""

    folder: Path
    manifest: dict[str, Any]
    files: tuple[ArtifactFile, ...]

    @property
    def checkpoint_id(self) -> str:
        """Of the manifest."""
        return str(self.manifest["checkpoint_id"])


class CheckpointRegistry:
    """A registry in a folder or at an fsspec URL. Blocking; any thread, any number of processes.

    Every method raises RegistryUnreachableError where the store fails, besides what it says.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.time) -> None:
        self.url = url
        self._storage = Storage(url)
        self._clock = clock

    def publish(self, folder: Path, *, publisher: str = "") -> str:
        """Copies a checkpoint folder (manifest.json, its artifacts, and what else is in it) and returns its id.

        Others see all of it or nothing: a local folder is renamed when it is complete, in an object store the manifest
        comes last. `publisher` is a name for people.

        Raises:
            ManifestError: the manifest breaks its schema.
            CheckpointDamagedError: the folder is not what its manifest says.
            CheckpointExistsError: the id is taken.
            LeaseHeldError: somebody publishes the same id at the moment (object stores).
            OSError: the folder cannot be read.
        """
        manifest = read_manifest(folder / MANIFEST_FILE)
        checkpoint_id = str(manifest["checkpoint_id"])
        check_folder(folder, artifact_files(manifest))
        if self._storage.exists(_manifest_path(checkpoint_id)):
            raise CheckpointExistsError(f"{checkpoint_id}: is in the registry already; checkpoints never change")
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        others = [name for name in names if name != MANIFEST_FILE]
        publish = self._publish_by_rename if self._storage.is_local else self._publish_manifest_last
        try:
            publish(folder, checkpoint_id, others, publisher or _this_process())
        except FileExistsError as error:
            raise CheckpointExistsError(f"{checkpoint_id}: somebody else published it first") from error
        return checkpoint_id

    def list_checkpoints(self) -> tuple[ListedCheckpoint, ...]:
        """Returns all checkpoints, newest first; those with broken manifests are listed with their problem."""
        listed = [self._listed(name) for name in self._storage.names(_CHECKPOINTS) if is_checkpoint_id(name)]
        found = [checkpoint for checkpoint in listed if checkpoint]
        return tuple(sorted(found, key=lambda c: (c.created_at, c.checkpoint_id), reverse=True))

    def manifest(self, checkpoint_id: str) -> dict[str, Any]:
        """Returns a checkpoint's manifest.

        Raises:
            CheckpointNotFoundError: there is no such checkpoint.
            CheckpointDamagedError: the manifest is not one, or is another checkpoint's.
        """
        if not is_checkpoint_id(checkpoint_id):
            raise CheckpointNotFoundError(f"{checkpoint_id!r}: no checkpoint id")
        try:
            manifest = json.loads(self._storage.read(_manifest_path(checkpoint_id)))
            if not isinstance(manifest, dict):
                raise ManifestError("must be a JSON object")
            check_manifest(manifest)
        except FileNotFoundError as error:
            raise CheckpointNotFoundError(f"{checkpoint_id}: not in the registry") from error
        except ManifestError as error:
            raise CheckpointDamagedError(f"{checkpoint_id}: {MANIFEST_FILE}: {error}") from error
        except ValueError as error:
            raise CheckpointDamagedError(f"{checkpoint_id}: {MANIFEST_FILE}: not JSON: {error}") from error
        if manifest["checkpoint_id"] != checkpoint_id:
            raise CheckpointDamagedError(f"{checkpoint_id}: {MANIFEST_FILE}: is that of {manifest['checkpoint_id']}")
        return manifest

    def fetch(self, checkpoint_id: str, cache: Path, kinds: Collection[str] | None = None) -> FetchedCheckpoint:
        """Brings a checkpoint's artifacts, of these kinds or all, to `cache/<id>` and holds each against its digest.

        The folder appears whole or not at all. One that is there is checked again, and fetched again if it is damaged
        or lacks a file.

        Raises:
            CheckpointNotFoundError: there is no such checkpoint, or none of its artifacts is of these kinds.
            CheckpointDamagedError: a file is missing, truncated or altered; the message names it.
            OSError: the cache cannot be written.
        """
        manifest = self.manifest(checkpoint_id)
        files = artifact_files(manifest, kinds)
        if not files:
            has = ", ".join(sorted({file.kind for file in artifact_files(manifest)}))
            raise CheckpointNotFoundError(
                f"{checkpoint_id}: has no artifact of kind {' or '.join(sorted(kinds or ()))}, only {has}"
            )
        target = cache / checkpoint_id
        if _is_in_cache(target, manifest, files):
            return FetchedCheckpoint(target, manifest, files)
        cache.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{checkpoint_id}.partial-", dir=cache))
        try:
            for file in files:
                self._fetch_file(checkpoint_id, file, partial / file.path)
            (partial / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", "utf-8")
            _put_in_place(partial, target, lambda: _is_in_cache(target, manifest, files))
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return FetchedCheckpoint(target, manifest, files)

    def read_state(self) -> RegistryState:
        """Returns the state; that of generation 0 if none was ever written.

        Raises:
            StateUnreadableError: the file is not a state.
        """
        try:
            text = self._storage.read(STATE_FILE)
        except FileNotFoundError:
            return RegistryState()
        return state_from_json(text.decode("utf-8", "replace"))

    def write_state(
        self,
        split: Split,
        *,
        expected_generation: int,
        writer: str = "",
        reason: str = "",
        lease_s: float = STATE_LEASE_S,
    ) -> RegistryState:
        """Replaces the state, as the one writer that holds the lease, and returns it.

        `writer` names the caller to people who are refused meanwhile; `expected_generation` is what the caller saw.

        Raises:
            SplitError: the split makes no sense.
            StateConflictError: the state changed since; nothing is written.
            LeaseHeldError: somebody else is writing; nothing is written.
            LeaseLostError: it took longer than the lease; nothing is written.
            StateUnreadableError: the present file is not a state; it is not replaced.
        """
        split.checked()
        with self._lease("state", writer or _this_process(), lease_s) as lease:
            present = self.read_state()
            if present.generation != expected_generation:
                raise StateConflictError(expected_generation, present.generation)
            if present.lease_number >= lease.number:
                raise LeaseLostError(f"the state was written under lease {present.lease_number}, after {lease.number}")
            state = RegistryState(
                generation=present.generation + 1,
                split=split,
                writer=writer or _this_process(),
                reason=reason,
                written_at=datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds"),
                lease_number=lease.number,
            )
            lease.check()
            self._storage.replace(STATE_FILE, state_to_json(state).encode())
            return state

    def reload_lease(self, holder: str) -> Lease:
        """Returns a lease, not taken yet, that whoever shuts a champion down for the next one holds meanwhile.

        So the servers of a registry that have no memory for two models do it one after the other.
        """
        return self._lease("reload", holder, RELOAD_LEASE_S)

    def _lease(self, name: str, holder: str, ttl_s: float) -> Lease:
        return Lease(self._storage, f"{_LEASES}/{name}", holder=holder, ttl_s=ttl_s, clock=self._clock)

    def _publish_by_rename(self, folder: Path, checkpoint_id: str, names: list[str], _publisher: str) -> None:
        incoming = f"{_CHECKPOINTS}/{_INCOMING}{checkpoint_id}-{uuid.uuid4().hex}"
        try:
            for name in [*names, MANIFEST_FILE]:
                self._storage.upload(folder / name, f"{incoming}/{name}")
            self._storage.rename_folder(incoming, f"{_CHECKPOINTS}/{checkpoint_id}")
        except BaseException:
            with contextlib.suppress(Exception):
                self._storage.remove_folder(incoming)
            raise

    def _publish_manifest_last(self, folder: Path, checkpoint_id: str, names: list[str], publisher: str) -> None:
        with self._lease(f"publish-{checkpoint_id}", publisher, PUBLISH_LEASE_S) as lease:
            if self._storage.exists(_manifest_path(checkpoint_id)):
                raise FileExistsError(checkpoint_id)  # since the first look; its artifacts must stay as they are
            for name in names:
                self._storage.upload(folder / name, f"{_CHECKPOINTS}/{checkpoint_id}/{name}", lease.keep)
            lease.check()
            self._storage.create(_manifest_path(checkpoint_id), (folder / MANIFEST_FILE).read_bytes())

    def _listed(self, checkpoint_id: str) -> ListedCheckpoint | None:
        try:
            return ListedCheckpoint(checkpoint_id, self.manifest(checkpoint_id))
        except CheckpointNotFoundError:
            return None  # an upload that has not come to its manifest
        except CheckpointDamagedError as error:
            return ListedCheckpoint(checkpoint_id, None, str(error))

    def _fetch_file(self, checkpoint_id: str, file: ArtifactFile, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with target.open("wb") as writing:
                for chunk in checked(file, self._storage.chunks(f"{_CHECKPOINTS}/{checkpoint_id}/{file.path}")):
                    writing.write(chunk)
        except FileNotFoundError as error:
            raise CheckpointDamagedError(f"{checkpoint_id}: {file.path}: missing") from error
        except CheckpointDamagedError as error:
            raise CheckpointDamagedError(f"{checkpoint_id}: {error}") from error


def _manifest_path(checkpoint_id: str) -> str:
    return f"{_CHECKPOINTS}/{checkpoint_id}/{MANIFEST_FILE}"


def _this_process() -> str:
    return f"{os.uname().nodename}:{os.getpid()}"


def _put_in_place(folder: Path, target: Path, is_good: Callable[[], bool]) -> None:
    """Renames a folder over a damaged one; one that another process has put there meanwhile stays if it is good."""
    old = folder.with_name(folder.name + ".old")
    try:
        if target.exists() and not is_good():
            target.rename(old)
        if not target.exists():
            folder.rename(target)
    except OSError:
        if not is_good():
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _is_in_cache(target: Path, manifest: dict[str, Any], files: tuple[ArtifactFile, ...]) -> bool:
    try:
        if read_manifest(target / MANIFEST_FILE) != manifest:
            return False
        check_folder(target, files)
    except (OSError, ManifestError, CheckpointDamagedError):
        return False
    return True
