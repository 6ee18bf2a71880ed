"""What can go wrong with a registry.

RegistryError
├── RegistryUnreachableError   the store cannot be read or written; try again later
├── CheckpointNotFoundError    no such checkpoint, or none with an artifact of the kinds wanted
├── CheckpointExistsError      the id is taken; checkpoints never change
├── CheckpointDamagedError     manifest or artifact is missing, truncated or altered
├── StateUnreadableError       the state file is not one
├── StateConflictError         the state changed since it was read
├── LeaseHeldError             somebody else writes at the moment
└── LeaseLostError             the lease expired or was taken over before the write
"""

from __future__ import annotations


class RegistryError(Exception):
    """Base of every error of this package; the message is one line for people."""


class RegistryUnreachableError(RegistryError):
    """The store cannot be read or written."""


class CheckpointNotFoundError(RegistryError):
    """The registry does not have it."""


class CheckpointExistsError(RegistryError):
    """The id is taken."""


class CheckpointDamagedError(RegistryError):
    """A file is missing, truncated or altered; the message names file and fault."""


class StateUnreadableError(RegistryError):
    """The state file breaks its format; the message names the field."""


class StateConflictError(RegistryError):
    """Another write came first."""

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(f"the state is of generation {found}, not {expected}: it changed since it was read")
        self.expected = expected
        self.found = found


class LeaseHeldError(RegistryError):
    """One writer at a time."""

    def __init__(self, holder: str, left_s: float) -> None:
        super().__init__(f"{holder} holds the lease for {left_s:.1f} s more; try again then")
        self.holder = holder
        self.left_s = left_s


class LeaseLostError(RegistryError):
    """The lease ended before the write."""
