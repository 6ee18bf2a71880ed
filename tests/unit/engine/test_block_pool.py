from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iterqr_server.engine.block_pool import BlockLease, BlockPool


def test_positions_get_slots_of_the_lowest_free_blocks_in_order() -> None:
    pool = BlockPool(positions=16, block_positions=4)
    first, second = pool.reserve(4), pool.reserve(8)
    second.grow(1)
    first.grow(4)
    second.grow(5)
    assert second.slots == [0, 1, 2, 3, 8, 9, 10, 11]
    assert first.slots == [4, 5, 6, 7]
    first.release()
    third = pool.reserve(3)
    third.grow(3)
    assert third.slots == [4, 5, 6, 7]


def test_a_reservation_is_kept_for_its_holder() -> None:
    pool = BlockPool(positions=16, block_positions=4)
    first = pool.reserve(9)
    assert pool.held_positions == 12
    assert pool.can_reserve(4)
    assert not pool.can_reserve(5)
    with pytest.raises(ValueError, match="no room for 5 positions"):
        pool.reserve(5)
    first.grow(9)
    first.release()
    first.release()
    assert pool.held_positions == 0


def test_a_lease_gives_no_more_than_was_reserved() -> None:
    lease = BlockPool(positions=16, block_positions=4).reserve(5)
    lease.grow(8)
    with pytest.raises(ValueError, match="more than was reserved"):
        lease.grow(9)
    lease.release()
    with pytest.raises(ValueError, match="released"):
        lease.grow(1)


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.sampled_from(["reserve", "grow", "release"]), st.integers(0, 5), st.integers(1, 12))),
)
def test_every_block_is_free_or_held_once(block: int, actions: list[tuple[str, int, int]]) -> None:
    pool = BlockPool(positions=12 * block, block_positions=block)
    leases: list[tuple[BlockLease, int]] = []
    for action, which, positions in actions:
        if action == "reserve" and pool.can_reserve(positions):
            leases.append((pool.reserve(positions), positions))
        elif action == "grow" and which < len(leases):
            leases[which][0].grow(min(positions, leases[which][1]))
        elif action == "release" and which < len(leases):
            leases.pop(which)[0].release()
        pool.check()
        held = [slot for lease, _ in leases for slot in lease.slots]
        assert len(held) == len(set(held))
    for lease, positions in leases:
        lease.grow(positions)  # what was promised is there, whatever happened since
        pool.check()
        assert len(lease.slots) >= positions
