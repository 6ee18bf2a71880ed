"""Puts a checkpoint's folder into a registry, where servers find it."""

from __future__ import annotations

from pathlib import Path

from iterqr_proto.manifest import ManifestError
from iterqr_proto.registry import CheckpointRegistry, RegistryError

from iterqr_training.errors import ExportError


def publish(folder: Path, url: str) -> str:
    """Copies the folder into the registry, where it is seen whole or not at all, and returns its id.

    It takes no traffic by that: `CheckpointService` says which checkpoint does.

    Raises:
        ExportError: The folder is damaged, the id is taken, or the registry cannot be written.
    """
    try:
        return CheckpointRegistry(url).publish(folder, publisher="iterqr-train export")
    except (RegistryError, ManifestError, OSError) as error:
        raise ExportError(f"--publish {url}: {error}") from error
