from __future__ import annotations

import numpy as np
import pytest
from iterqr_server.engine.block_pool import BlockPool
from iterqr_server.engine.packing import group_size, pack
from iterqr_server.engine.prefix_cache import PrefixCache
from iterqr_server.engine.scheduler import Chunk, StepPlan
from iterqr_server.engine.sequence import Sequence
from support.step_plans import packed, running_sequence


def test_rows_of_all_requests_lie_side_by_side() -> None:
    pool = BlockPool(32, 4)
    a, b = running_sequence(pool, [10, 11, 12], "a"), running_sequence(pool, [20, 21, 22], "b")
    packed((a, 2))
    step = packed((a, 1), (b, 3))
    assert step.token_ids.tolist() == [12, 20, 21, 22]
    assert step.positions.tolist() == [2, 0, 1, 2]
    assert step.slots.tolist() == [2, 4, 5, 6]
    assert step.logit_rows.tolist() == [0, 3]


def test_each_row_sees_its_own_request_up_to_itself_in_order_of_position() -> None:
    pool = BlockPool(32, 2)
    a, b = running_sequence(pool, [10, 11, 12, 13], "a"), running_sequence(pool, [20, 21, 22], "b")
    packed((a, 1), (b, 1))
    step = packed((a, 3), (b, 2))
    seen = []
    for row in range(5):
        group, place = divmod(int(step.row_places[row]), step.group_rows.shape[1])
        assert step.group_rows[group, place] == row
        seen.append(step.group_slots[group][step.mask[group, place]].tolist())
    assert seen == [[0, 1], [0, 1, 4], [0, 1, 4, 5], [2, 3], [2, 3, 6]]


def test_a_suffix_sees_its_shared_prefix() -> None:
    pool = BlockPool(32, 4)
    prefix = PrefixCache(pool).acquire((1, 2, 3))
    prefix.lease.grow(3)
    prefix.computed = 3
    sequence = Sequence("a", prefix.token_ids, (4, 5), max_new_tokens=1)
    sequence.prefix, sequence.lease = prefix, pool.reserve(2)
    sequence.lease.grow(2)
    step = pack(StepPlan((Chunk(sequence, 0, 2),)))
    assert step.positions.tolist() == [3, 4]
    assert step.group_slots[0][step.mask[0, 1]].tolist() == [0, 1, 2, 4, 5]


@pytest.mark.parametrize("count", [1, 3, 7])
def test_an_odd_step_repeats_its_last_row(count: int) -> None:
    step = packed((running_sequence(BlockPool(32, 4), list(range(100, 100 + count))), count))
    assert step.token_ids.size == count + 1
    for rows in (step.token_ids, step.positions, step.slots, step.row_places):
        assert rows[-1] == rows[-2]
    assert step.logit_rows.tolist() == [count - 1]


def test_a_waiting_request_cannot_be_packed() -> None:
    with pytest.raises(ValueError, match="waiting"):
        pack(StepPlan((Chunk(Sequence("a", (), (1, 2), 1), 0, 2),)))


def test_groups_fit_the_mix_of_prompts_and_single_rows() -> None:
    assert group_size([1] * 16) == 2
    assert group_size([45]) == 16
    assert group_size([45] + [1] * 15) == 4


def test_padding_slots_are_masked() -> None:
    step = packed((running_sequence(BlockPool(32, 4), [1, 2, 3]), 2))
    assert step.mask.sum(axis=-1).max() == 2
    assert not np.any(step.mask[:, :, 2:])
