"""A model on its way into memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from iterqr_server.checkpoints.memory import Room
from iterqr_server.rewrite.served_model import ServedModel


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """Found and checked; its weights are not in memory yet.

    `start` loads and warms it and, if it is a checkpoint, asks it the probe set; if any of that fails it closes the
    engine and raises why. `room` measures the memory of this moment.
    """

    model: ServedModel
    start: Callable[[], Awaitable[None]]
    room: Callable[[], Awaitable[Room]]
