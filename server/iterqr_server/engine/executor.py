"""The seam between scheduling and the model: one packed step in, logits out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

NO_SLOT = -1  # the slot of a padding row: its K/V are thrown away


@dataclass(frozen=True, slots=True)
class PackedStep:
    """The new tokens of all requests of a step, side by side in one row dimension.

    With R rows, P = `past_positions` and K wanted rows:
    - `token_ids` [R] int64; `positions` [R] int64: the token's index in its own request;
    - `slots` [R] int64: the arena slot that receives the row's K/V, or `NO_SLOT`; no slot occurs twice;
    - `mask` [R, P + R] bool: what a row attends to: arena slots 0 to P - 1, then the rows of this step;
      every row sees itself;
    - `logit_rows` [K] int64: rows whose next-token logits are wanted, in the order wanted; K may be 0.

    R is at least 2: one row alone may run another kernel, and then a request's text would depend on whether it has
    neighbours.
    """

    token_ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    slots: NDArray[np.int64]
    past_positions: int
    mask: NDArray[np.bool_]
    logit_rows: NDArray[np.int64]


class StepExecutor(Protocol):
    """Runs packed steps over a KV arena of its own. Used by one thread at a time."""

    @property
    def arena_positions(self) -> int:
        """Slots the arena has."""
        ...

    @property
    def max_positions(self) -> int:
        """Positions one request may have, prompt and output together: the model's context length."""
        ...

    def run(self, step: PackedStep) -> NDArray[np.float32]:
        """Computes the rows, writes their K/V to their slots and returns logits [K, vocabulary].

        Any exception means that the arena can no longer be trusted; the engine then stops for good.
        """
        ...

    def close(self) -> None:
        """Frees model and arena. Called once, after the last `run`."""
        ...
