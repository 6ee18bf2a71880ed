"""Where a checkpoint stands on one server. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class StatusKind(enum.Enum):
    """As `CheckpointState` of the contract."""

    AVAILABLE = "available"
    LOADING = "loading"
    LOADED = "loaded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Status:
    """`reason`: why it failed; empty otherwise."""

    checkpoint_id: str
    kind: StatusKind
    reason: str = ""


def status_of(checkpoint_id: str, *, loaded: bool, loading: bool, reason: str) -> Status:
    """Returns the status; what is in memory or on its way there stands above an earlier refusal."""
    if loaded:
        return Status(checkpoint_id, StatusKind.LOADED)
    if loading:
        return Status(checkpoint_id, StatusKind.LOADING)
    if reason:
        return Status(checkpoint_id, StatusKind.FAILED, reason)
    return Status(checkpoint_id, StatusKind.AVAILABLE)
