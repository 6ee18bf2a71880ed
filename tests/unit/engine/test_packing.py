from __future__ import annotations

import numpy as np
import pytest
from iterqr_server.engine.executor import PackedStep
from iterqr_server.engine.packing import group_size, pack, synthetic_step
from iterqr_server.engine.prefix_cache import PrefixCache
from iterqr_server.engine.scheduler import Chunk, StepPlan
from iterqr_server.engine.sequence import Sequence
from support.step_plans import drafted, packed, running_sequence, tree


def seen_slots(step: PackedStep, row: int) -> list[int]:
    """The slots that a row attends to, in the order in which it does."""
    group, place = divmod(int(step.row_places[row]), step.group_rows.shape[1])
    assert step.token_ids[step.group_rows[group, place]] == step.token_ids[row]
    slots: list[int] = step.group_slots[group][step.mask[group, place]].tolist()
    return slots


def test_rows_of_all_requests_lie_side_by_side() -> None:
    cache = PrefixCache(64, 4)
    a, b = running_sequence(cache, [10, 11, 12], "a"), running_sequence(cache, [20, 21, 22], "b")
    packed((a, 2))
    step = packed((a, 1), (b, 3))
    assert step.token_ids.tolist() == [12, 20, 21, 22]
    assert step.positions.tolist() == [2, 0, 1, 2]
    assert step.slots.tolist() == [2, 4, 5, 6]
    assert step.logit_rows.tolist() == [0, 3]


def test_each_row_sees_its_own_request_up_to_itself_in_order_of_position() -> None:
    cache = PrefixCache(128, 2)
    a, b = running_sequence(cache, [10, 11, 12, 13], "a"), running_sequence(cache, [20, 21, 22], "b")
    packed((a, 1), (b, 1))
    step = packed((a, 3), (b, 2))
    assert [step.slots[row].item() for row in range(5)] == [1, 4, 5, 3, 6]
    assert [seen_slots(step, row) for row in range(5)] == [[0, 1], [0, 1, 4], [0, 1, 4, 5], [2, 3], [2, 3, 6]]


def test_a_prompt_sees_the_blocks_that_it_shares() -> None:
    cache = PrefixCache(128, 4)
    a, b = running_sequence(cache, [1, 2, 3, 4, 5, 6], "a"), running_sequence(cache, [1, 2, 3, 4, 7, 8], "b")
    chunks = (Chunk(a, 0, 6), Chunk(b, 4, 2))
    step = pack(StepPlan(chunks))
    assert step.positions.tolist() == [0, 1, 2, 3, 4, 5, 4, 5]
    assert len(set(step.slots.tolist())) == 8
    shared = step.slots[:4].tolist()
    assert seen_slots(step, 5) == [*shared, *step.slots[4:6].tolist()]
    assert seen_slots(step, 7) == [*shared, *step.slots[6:8].tolist()]


def test_a_draft_sees_what_is_known_and_its_ancestors_only() -> None:
    sequence = running_sequence(PrefixCache(64, 4), [1, 2, 3, 4, 5])
    packed((sequence, 4))
    step = drafted(sequence, tree((10, -1), (20, -1), (11, 0), (21, 1), (12, 2)))
    assert step.token_ids.tolist() == [5, 10, 20, 11, 21, 12]
    assert step.positions.tolist() == [4, 5, 5, 6, 6, 7]
    assert len(set(step.slots.tolist())) == 6
    assert step.logit_rows.tolist() == [0, 1, 2, 3, 4, 5]
    past = [0, 1, 2, 3]
    known, ten, twenty, eleven, twenty_one, twelve = step.slots.tolist()
    assert [seen_slots(step, row) for row in range(6)] == [
        [*past, known],
        [*past, known, ten],
        [*past, known, twenty],
        [*past, known, ten, eleven],
        [*past, known, twenty, twenty_one],
        [*past, known, ten, eleven, twelve],
    ]


def test_drafts_after_a_prompt_see_all_of_it() -> None:
    sequence = running_sequence(PrefixCache(64, 4), [1, 2, 3])
    step = pack(StepPlan((Chunk(sequence, 0, 3, tree((10, -1), (11, 0), (20, -1))),)))
    assert step.positions.tolist() == [0, 1, 2, 3, 4, 3]
    assert step.logit_rows.tolist() == [2, 3, 4, 5]
    slots = step.slots.tolist()
    assert seen_slots(step, 1) == slots[:2]
    assert seen_slots(step, 4) == slots[:5]
    assert seen_slots(step, 5) == [*slots[:3], slots[5]]


def test_a_tree_cut_into_groups_sees_the_same() -> None:
    cache = PrefixCache(256, 4)
    sequence = running_sequence(cache, [1, 2, 3, 4, 5])
    others = [running_sequence(cache, [100 + i, 1], str(i)) for i in range(6)]
    packed((sequence, 4), *((other, 1) for other in others))
    plan = StepPlan(
        (Chunk(sequence, 4, 1, tree((10, -1), (20, -1), (11, 0), (12, 2))), *(Chunk(other, 1, 1) for other in others))
    )
    step = pack(plan)
    assert step.group_rows.shape[1] < 5
    slots = step.slots.tolist()
    assert seen_slots(step, 4) == [0, 1, 2, 3, slots[0], slots[1], slots[3], slots[4]]
    assert seen_slots(step, 2) == [0, 1, 2, 3, slots[0], slots[2]]


def test_slots_of_rejected_drafts_are_used_again() -> None:
    sequence = running_sequence(PrefixCache(64, 4), [1, 2, 3])
    packed((sequence, 2))
    first = drafted(sequence, tree((10, -1), (20, -1), (21, 1)))
    assert sequence.lease is not None
    sequence.lease.keep(2, [0, 2, 3])  # 20 and 21 came true
    sequence.token_ids += [20, 21, 22]
    known, rejected, twenty, twenty_one = first.slots.tolist()
    second = drafted(sequence, tree((30, -1)))
    assert second.slots[0] == rejected
    assert second.positions.tolist() == [5, 6]
    assert seen_slots(second, 0) == [0, 1, known, twenty, twenty_one, rejected]


@pytest.mark.parametrize("count", [1, 3, 7])
def test_an_odd_step_repeats_its_last_row(count: int) -> None:
    step = packed((running_sequence(PrefixCache(64, 4), list(range(100, 100 + count))), count))
    assert step.token_ids.size == count + 1
    for rows in (step.token_ids, step.positions, step.slots, step.row_places):
        assert rows[-1] == rows[-2]
    assert step.logit_rows.tolist() == [count - 1]


def test_a_waiting_request_cannot_be_packed() -> None:
    with pytest.raises(ValueError, match="waiting"):
        pack(StepPlan((Chunk(Sequence("a", (1, 2), 1), 0, 2),)))


def test_groups_fit_the_mix_of_prompts_and_single_rows() -> None:
    assert group_size([1] * 16) == 2
    assert group_size([45]) == 46
    assert group_size([45] + [1] * 15) == 4
    assert group_size([9]) == 10


def test_padding_slots_are_masked() -> None:
    step = packed((running_sequence(PrefixCache(64, 4), [1, 2, 3]), 2))
    assert step.mask.sum(axis=-1).max() == 2
    assert not np.any(step.mask[:, :, 2:])


@pytest.mark.parametrize(("rows", "past"), [(2, 0), (7, 10), (64, 512), (100, 3)])
def test_a_synthetic_step_is_one_request_with_a_past(rows: int, past: int) -> None:
    step = synthetic_step(rows, past)
    assert step.logit_rows.tolist() == list(range(rows))
    assert step.positions.tolist()[:rows] == list(range(past, past + rows))
    for row in range(rows):
        assert seen_slots(step, row) == list(range(past + row + 1))
