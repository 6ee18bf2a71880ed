"""The seam between scheduling and the model: one packed step in, logits out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PackedStep:
    """The new tokens of all requests of a step, side by side in one row dimension.

    Everything but attention treats rows alike. Attention works by groups: up to Q rows of one request, which read the
    L arena slots that hold the request's tokens. With R rows, G groups and K wanted rows:
    - `token_ids` [R] int64; `positions` [R] int64: the token's index in its own request;
    - `slots` [R] int64: the arena slot that receives the row's K/V, before any row attends;
    - `group_rows` [G, Q] int64: the rows of each group; `row_places` [R] int64: where a row stands in the flattened
      `group_rows`; a group of fewer than Q rows repeats its last one;
    - `group_slots` [G, L] int64: each group's slots in order of position, so that sums come out the same wherever the
      slots lie; padded at the end;
    - `mask` [G, Q, L] bool: which of its group's slots a row attends to, itself always among them;
    - `logit_rows` [K] int64: rows whose next-token logits are wanted, in the order wanted; K may be 0.

    R is even, and so is Q. Kernels take rows in pairs and a single one left over in another way, with other rounding;
    a request's text would then depend on how many neighbours it has. An odd step repeats its last row.
    """

    token_ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    slots: NDArray[np.int64]
    group_rows: NDArray[np.int64]
    row_places: NDArray[np.int64]
    group_slots: NDArray[np.int64]
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

    @property
    def output_ids(self) -> NDArray[np.int64] | None:
        """[outputs]: the token each column of `run`'s logits stands for, ascending; None: column i is token i.

        Some models write only some of their tokens. Others may still be read: they are fine in a prompt, and a draft or
        a scored text that has one has no column, so that the model cannot go on with it. Those that are there can write
        every text, byte by byte if need be; so a guide's `mask()[output_ids]` always allows one of them.
        """
        ...

    def run(self, step: PackedStep) -> NDArray[np.float32]:
        """Computes the rows, writes their K/V to their slots and returns logits [K, outputs].

        Any exception means that the arena can no longer be trusted; the engine then stops for good.
        """
        ...

    def close(self) -> None:
        """Frees model and arena. Called once, after the last `run`."""
        ...
