"""Turns a step plan into the arrays that a `StepExecutor` takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from iterqr_server.engine.draft_tree import branches
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
    runs = [_runs(chunk) for chunk in plan.chunks]
    size = group_size([len(run.rows) for several in runs for run in several])
    own_slots = [chunk.lease.rows(chunk.start, chunk.rows) for chunk in plan.chunks]
    width = -(-max(chunk.start + chunk.rows for chunk in plan.chunks) // SLOTS_MULTIPLE) * SLOTS_MULTIPLE
    groups = sum(-(-len(run.rows) // size) for several in runs for run in several)
    group_rows = np.zeros((groups, size), np.int64)
    group_slots = np.zeros((groups, width), np.int64)
    token_ids: list[int] = []
    logit_rows: list[int] = []
    total = sum(chunk.rows for chunk in plan.chunks)
    positions, row_places = np.zeros(total, np.int64), np.zeros(total, np.int64)
    group = 0
    for chunk, slots, several in zip(plan.chunks, own_slots, runs, strict=True):
        first = len(token_ids)
        token_ids += chunk.sequence.token_ids[chunk.start : chunk.start + chunk.count]
        token_ids += [guess.token_id for guess in chunk.tree.guesses]
        past = chunk.lease.positions(chunk.start)
        for run in several:
            seen = slots[[*run.before, *run.rows]]
            here = first + np.array(run.rows)
            positions[here] = chunk.start + len(run.before) + np.arange(here.size)
            for start in range(0, here.size, size):
                rows = here[start : start + size]
                group_rows[group] = np.pad(rows, (0, size - rows.size), mode="edge")
                group_slots[group, : chunk.start] = past
                group_slots[group, chunk.start : chunk.start + seen.size] = seen
                row_places[rows] = group * size + np.arange(rows.size)
                group += 1
        if chunk.wants_logits:
            logit_rows += range(first + chunk.count - 1, len(token_ids))
    copies = -len(token_ids) % ROWS_MULTIPLE
    rows = np.pad(np.arange(len(token_ids)), (0, copies), mode="edge")
    return PackedStep(
        token_ids=np.array(token_ids, np.int64)[rows],
        positions=positions[rows],
        slots=np.concatenate(own_slots)[rows],
        group_rows=group_rows,
        row_places=row_places[rows],
        group_slots=group_slots,
        mask=np.arange(width) <= positions[group_rows][..., None],
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


@dataclass(frozen=True, slots=True)
class _Run:
    """Rows of a chunk that follow each other, and the rows of the chunk before them, both in order of position."""

    before: tuple[int, ...]
    rows: tuple[int, ...]


def _runs(chunk: Chunk) -> list[_Run]:
    """Cuts a chunk so that each run sees nothing but its own past, in order of position.

    Sums over a run's slots are then those of decoding one token at a time, digit by digit, whatever else was guessed.
    """
    known = tuple(range(chunk.count))
    main, *others = branches(chunk.tree)
    runs = [_Run((), known + tuple(chunk.count + row for row in main.rows))]
    for branch in others:
        lead = known + tuple(chunk.count + row for row in branch.before)
        runs.append(_Run(lead, tuple(chunk.count + row for row in branch.rows)))
    return runs
