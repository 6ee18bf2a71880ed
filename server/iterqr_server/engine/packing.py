"""Turns a step plan into the arrays that a `StepExecutor` takes."""

from __future__ import annotations

import numpy as np

from iterqr_server.engine.executor import NO_SLOT, PackedStep
from iterqr_server.engine.prefix_cache import Prefix
from iterqr_server.engine.scheduler import Chunk, StepPlan

MIN_ROWS = 2


def pack(plan: StepPlan) -> PackedStep:
    """Lays the plan's chunks side by side; `logit_rows` follow the plan's order.

    The holders' leases must already have slots for the chunks (`BlockLease.grow`). A plan of one row gets a padding
    row, which sees only itself.
    """
    rows = max(MIN_ROWS, sum(chunk.count for chunk in plan.chunks))
    pasts = [_past_slots(chunk) for chunk in plan.chunks]
    past_positions = max((int(past.max()) + 1 for past in pasts if past.size), default=0)

    token_ids = np.zeros(rows, np.int64)
    positions = np.zeros(rows, np.int64)
    slots = np.full(rows, NO_SLOT, np.int64)
    mask = np.zeros((rows, past_positions + rows), np.bool_)
    mask[:, past_positions:] = np.eye(rows, dtype=np.bool_)
    logit_rows = []
    row = 0
    for chunk, past in zip(plan.chunks, pasts, strict=True):
        end = row + chunk.count
        holder = chunk.holder
        token_ids[row:end] = holder.token_ids[chunk.start : chunk.start + chunk.count]
        positions[row:end] = np.arange(past.size, past.size + chunk.count)
        slots[row:end] = _own_slots(chunk)[chunk.start : chunk.start + chunk.count]
        mask[row:end, past] = True
        mask[row:end, past_positions + row : past_positions + end] = np.tri(chunk.count, dtype=np.bool_)
        if chunk.wants_logits:
            logit_rows.append(end - 1)
        row = end
    return PackedStep(token_ids, positions, slots, past_positions, mask, np.array(logit_rows, np.int64))


def _own_slots(chunk: Chunk) -> list[int]:
    if chunk.holder.lease is None:
        raise ValueError("a waiting request cannot be packed")
    return chunk.holder.lease.slots


def _past_slots(chunk: Chunk) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Slots of everything before the chunk, in order of position."""
    slots = _own_slots(chunk)[: chunk.start]
    holder = chunk.holder
    if not isinstance(holder, Prefix) and holder.prefix is not None:
        slots = holder.prefix.lease.slots[: len(holder.prefix.token_ids)] + slots
    return np.array(slots, np.int64)
