"""Turns a step plan into the arrays that a `StepExecutor` takes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from iterqr_server.engine.draft_tree import ancestors
from iterqr_server.engine.executor import PackedStep
from iterqr_server.engine.scheduler import Chunk, StepPlan

ROWS_MULTIPLE = 2
GROUP_SIZES = range(2, 66, 2)  # even, as steps are
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
    """Lays the plan's chunks side by side; `logit_rows` follow the plan's order, each chunk's drafts after its own.

    Takes the slots that the rows need from the chunks' leases.
    """
    size = group_size([chunk.rows for chunk in plan.chunks])
    own_slots = [chunk.lease.rows(chunk.start, chunk.rows) for chunk in plan.chunks]
    width = -(-max(chunk.start + chunk.rows for chunk in plan.chunks) // SLOTS_MULTIPLE) * SLOTS_MULTIPLE
    groups = sum(-(-chunk.rows // size) for chunk in plan.chunks)
    group_rows = np.zeros((groups, size), np.int64)
    group_slots = np.zeros((groups, width), np.int64)
    mask = np.zeros((groups, size, width), np.bool_)
    token_ids: list[int] = []
    positions: list[NDArray[np.int64]] = []
    row_places: list[NDArray[np.int64]] = []
    logit_rows: list[int] = []
    group = 0
    for chunk, slots in zip(plan.chunks, own_slots, strict=True):
        first, seen = len(token_ids), chunk.start + chunk.rows
        token_ids += chunk.sequence.token_ids[chunk.start : chunk.start + chunk.count]
        token_ids += [guess.token_id for guess in chunk.tree.guesses]
        depths, sees = _attention(chunk)
        positions.append(chunk.start + depths)
        for start in range(0, chunk.rows, size):
            rows = np.minimum(np.arange(start, start + size), chunk.rows - 1)
            group_rows[group] = first + rows
            group_slots[group, : chunk.start] = chunk.lease.positions(chunk.start)
            group_slots[group, chunk.start : seen] = slots
            mask[group, :, : chunk.start] = True
            mask[group, :, chunk.start : seen] = sees[rows]
            row_places.append(np.arange(min(size, chunk.rows - start)) + group * size)
            group += 1
        if chunk.wants_logits:
            logit_rows += range(first + chunk.count - 1, len(token_ids))
    copies = -len(token_ids) % ROWS_MULTIPLE
    rows = np.pad(np.arange(len(token_ids)), (0, copies), mode="edge")
    return PackedStep(
        token_ids=np.array(token_ids, np.int64)[rows],
        positions=np.concatenate(positions)[rows],
        slots=np.concatenate(own_slots)[rows],
        group_rows=group_rows,
        row_places=np.concatenate(row_places)[rows],
        group_slots=group_slots,
        mask=mask,
        logit_rows=np.array(logit_rows, np.int64),
    )


def synthetic_step(rows: int, past: int) -> PackedStep:
    """Returns a step of one request that has `past` positions behind it, for measuring what steps cost.

    All its rows want logits, as those of drafts do. It reads and writes the arena's first `past + rows` slots.
    """
    size = group_size([rows])
    groups = -(-rows // size)
    even = rows + rows % ROWS_MULTIPLE
    width = -(-(past + rows) // SLOTS_MULTIPLE) * SLOTS_MULTIPLE
    numbers = np.minimum(np.arange(even), rows - 1)
    grouped = np.minimum(np.arange(groups * size), rows - 1).reshape(groups, size)
    slots = np.where(np.arange(width) < past + rows, np.arange(width), 0)
    return PackedStep(
        token_ids=numbers,
        positions=past + numbers,
        slots=past + numbers,
        group_rows=grouped,
        row_places=numbers,
        group_slots=np.broadcast_to(slots, (groups, width)).copy(),
        mask=np.arange(width) <= past + grouped[..., None],
        logit_rows=np.arange(rows),
    )


def _attention(chunk: Chunk) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """How far each row of a chunk is behind `start` [rows], and which rows of the chunk it sees [rows, rows].

    Known tokens see those before them, drafts the known ones and their ancestors.
    """
    depths = np.arange(chunk.rows)
    sees = np.tri(chunk.rows, dtype=np.bool_)
    for row, path in enumerate(ancestors(chunk.tree), chunk.count):
        depths[row] = chunk.count + len(path) - 1
        sees[row, chunk.count :] = False
        sees[row, [chunk.count + other for other in path]] = True
    return depths, sees
