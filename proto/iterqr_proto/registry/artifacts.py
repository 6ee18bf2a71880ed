"""Files of a checkpoint held against its manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iterqr_proto.registry.errors import CheckpointDamagedError
from iterqr_proto.registry.storage import CHUNK_BYTES


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    """One file of a manifest; `path` is relative to it."""

    kind: str
    path: str
    size_bytes: int
    sha256: str


def artifact_files(manifest: Mapping[str, Any], kinds: Collection[str] | None = None) -> tuple[ArtifactFile, ...]:
    """Returns the files of a checked manifest's artifacts, of these kinds or of all."""
    return tuple(
        ArtifactFile(artifact["kind"], file["path"], file["size_bytes"], file["sha256"])
        for artifact in manifest["artifacts"]
        if kinds is None or artifact["kind"] in kinds
        for file in artifact["files"]
    )


def checked(file: ArtifactFile, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Passes a file's content on and raises CheckpointDamagedError at its end if it is not the manifest's."""
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
        yield chunk
    if size != file.size_bytes:
        how = "truncated" if size < file.size_bytes else "too long"
        raise CheckpointDamagedError(f"{file.path}: {how}: {size} bytes, the manifest says {file.size_bytes}")
    if digest.hexdigest() != file.sha256:
        raise CheckpointDamagedError(
            f"{file.path}: altered: SHA-256 is {digest.hexdigest()}, the manifest says {file.sha256}"
        )


def check_folder(folder: Path, files: Iterable[ArtifactFile]) -> None:
    """Raises CheckpointDamagedError, naming the first file that is missing, truncated or altered."""
    for file in files:
        path = folder / file.path
        if not path.is_file():
            raise CheckpointDamagedError(f"{file.path}: missing")
        with path.open("rb") as reading:
            for _chunk in checked(file, iter(lambda reading=reading: reading.read(CHUNK_BYTES), b"")):  # type: ignore[misc]
                pass
