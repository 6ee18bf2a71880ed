"""The checkpoint registry: a folder or fsspec URL that trainers publish to and servers serve from."""

from iterqr_proto.registry.artifacts import ArtifactFile, artifact_files, check_folder
from iterqr_proto.registry.checkpoint_registry import (
    MANIFEST_FILE,
    CheckpointRegistry,
    FetchedCheckpoint,
    ListedCheckpoint,
)
from iterqr_proto.registry.errors import (
    CheckpointDamagedError,
    CheckpointExistsError,
    CheckpointNotFoundError,
    LeaseHeldError,
    LeaseLostError,
    RegistryError,
    RegistryUnreachableError,
    StateConflictError,
    StateUnreadableError,
)
from iterqr_proto.registry.state import RegistryState, Split, SplitError, is_checkpoint_id

__all__ = [
    "MANIFEST_FILE",
    "ArtifactFile",
    "CheckpointDamagedError",
    "CheckpointExistsError",
    "CheckpointNotFoundError",
    "CheckpointRegistry",
    "FetchedCheckpoint",
    "LeaseHeldError",
    "LeaseLostError",
    "ListedCheckpoint",
    "RegistryError",
    "RegistryState",
    "RegistryUnreachableError",
    "Split",
    "SplitError",
    "StateConflictError",
    "StateUnreadableError",
    "artifact_files",
    "check_folder",
    "is_checkpoint_id",
]
