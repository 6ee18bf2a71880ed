"""Where a checkpoint stands on one server. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass

MAX_REASON = 500


class StatusKind(enum.Enum):
    """As `CheckpointState` of the contract."""

    AVAILABLE = "available"
    LOADING = "loading"
    LOADED = "loaded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Status:
    """`reason`: why it failed, at most `MAX_REASON` characters; empty otherwise."""

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
        return Status(checkpoint_id, StatusKind.FAILED, reason[:MAX_REASON])
    return Status(checkpoint_id, StatusKind.AVAILABLE)
