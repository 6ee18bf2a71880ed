"""What can go wrong with checkpoints in a server, besides the registry's own errors.

CheckpointError
├── CheckpointRefusedError   it must not serve here; the message says why
├── NotLoadedError           it is not in memory
├── InTrafficError           it takes traffic, so it cannot be unloaded
└── NoModelLeftError         the champion made way for another, and neither could be loaded
"""

from __future__ import annotations


class CheckpointError(Exception):
    """Base of every error of this package; the message is one line for people."""


class CheckpointRefusedError(CheckpointError):
    """Wrong base, damaged, too large for the memory, or outputs that failed the probes."""


class NotLoadedError(CheckpointError):
    """Traffic goes only to what is loaded and probed."""


class InTrafficError(CheckpointError):
    """Its traffic must go elsewhere first."""


class NoModelLeftError(CheckpointError):
    """There is no model to serve; the process must be started again."""
