"""Turns a step plan into the arrays that a `StepExecutor` takes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from iterqr_server.engine.executor import PackedStep
from iterqr_server.engine.prefix_cache import Prefix
from iterqr_server.engine.scheduler import Chunk, StepPlan

ROWS_MULTIPLE = 2
GROUP_SIZES = (2, 4, 8, 16, 32, 64)
SLOTS_MULTIPLE = 64
# Reading one slot into a group costs about as much as letting five rows attend to it (measured on two cores).
READ_COST_ROWS = 5


def group_size(counts: list[int]) -> int:
    """Returns the rows a group should have when chunks of `counts` rows are cut into groups of equal size.

    Small groups read the same slots again for every group of a prompt, large ones pad the single rows of decoding.
    """

    def cost(size: int) -> int:
        return sum(-(-count // size) for count in counts) * (size + READ_COST_ROWS)

    return min(GROUP_SIZES, key=cost)


def pack(plan: StepPlan) -> PackedStep:
    """Lays the plan's chunks side by side; `logit_rows` follow the plan's order.

    The holders' leases must already have slots for the chunks (`BlockLease.grow`).
    """
    size = group_size([chunk.count for chunk in plan.chunks])
    visible = [_visible_slots(chunk) for chunk in plan.chunks]
    width = -(-max(slots.size for slots in visible) // SLOTS_MULTIPLE) * SLOTS_MULTIPLE

    token_ids: list[int] = []
    positions: list[NDArray[np.int64]] = []
    slots: list[NDArray[np.int64]] = []
    group_rows: list[NDArray[np.int64]] = []
    group_slots: list[NDArray[np.int64]] = []
    row_places: list[NDArray[np.int64]] = []
    logit_rows: list[int] = []
    for chunk, seen in zip(plan.chunks, visible, strict=True):
        first = len(token_ids)
        token_ids += chunk.holder.token_ids[chunk.start : chunk.start + chunk.count]
        positions.append(np.arange(seen.size - chunk.count, seen.size))
        slots.append(seen[-chunk.count :])
        for start in range(first, len(token_ids), size):
            end = min(start + size, len(token_ids))
            row_places.append(np.arange(end - start) + len(group_rows) * size)
            group_rows.append(np.minimum(np.arange(start, start + size), end - 1))
            group_slots.append(np.pad(seen, (0, width - seen.size)))
        if chunk.wants_logits:
            logit_rows.append(len(token_ids) - 1)
    copies = -len(token_ids) % ROWS_MULTIPLE
    rows = np.pad(np.arange(len(token_ids)), (0, copies), mode="edge")
    position_of = np.concatenate(positions)
    grouped = np.stack(group_rows)
    return PackedStep(
        token_ids=np.array(token_ids, np.int64)[rows],
        positions=position_of[rows],
        slots=np.concatenate(slots)[rows],
        group_rows=grouped,
        row_places=np.concatenate(row_places)[rows],
        group_slots=np.stack(group_slots),
        mask=np.arange(width) <= position_of[grouped][..., None],
        logit_rows=np.array(logit_rows, np.int64),
    )


def _visible_slots(chunk: Chunk) -> NDArray[np.int64]:
    """Slots of everything up to the chunk's last token, in order of position."""
    holder = chunk.holder
    if holder.lease is None:
        raise ValueError("a waiting request cannot be packed")
    slots = holder.lease.slots[: chunk.start + chunk.count]
    if not isinstance(holder, Prefix) and holder.prefix is not None:
        slots = holder.prefix.lease.slots[: len(holder.prefix.token_ids)] + slots
    return np.array(slots, np.int64)
