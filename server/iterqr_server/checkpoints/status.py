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
    STAGED = "staged"


@dataclass(frozen=True, slots=True)
class Status:
    """`reason`: why it failed or was only staged, at most `MAX_REASON` characters; empty otherwise."""

    checkpoint_id: str
    kind: StatusKind
    reason: str = ""


def status_of(checkpoint_id: str, *, loaded: bool, loading: bool, reason: str, staged: bool = False) -> Status:
    """Returns the status; what is in memory or on its way there stands above an earlier refusal.

    `reason`: of the refusal, or of staging.
    """
    if loaded:
        return Status(checkpoint_id, StatusKind.LOADED)
    if loading:
        return Status(checkpoint_id, StatusKind.LOADING)
    if staged or reason:
        return Status(checkpoint_id, StatusKind.STAGED if staged else StatusKind.FAILED, reason[:MAX_REASON])
    return Status(checkpoint_id, StatusKind.AVAILABLE)
