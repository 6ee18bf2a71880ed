from __future__ import annotations

import pytest
from iterqr_server.engine.block_pool import Block, BlockPool


def pool_of(blocks: int, size: int = 4) -> tuple[BlockPool, list[Block]]:
    """A pool, and the list of blocks that it forgot although they had keys."""
    evicted: list[Block] = []
    return BlockPool(blocks * size, size, evicted.append), evicted


def taken(pool: BlockPool, key: str | None = None, filled: int = 0) -> Block:
    pool.promise(1)
    block = pool.take(key)
    block.filled = filled
    return block


def test_blocks_have_the_lowest_free_slots() -> None:
    pool, _ = pool_of(4)
    first, second, third = taken(pool), taken(pool), taken(pool)
    assert [list(pool.slots(block)) for block in (first, second, third)] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 11],
    ]
    pool.release(second)
    pool.release(first)
    assert taken(pool).index == 0


def test_positions_are_counted_in_whole_blocks() -> None:
    pool, _ = pool_of(4)
    assert [pool.blocks_for(positions) for positions in (0, 1, 4, 5, 8)] == [0, 1, 1, 2, 2]
    assert BlockPool(11, 4, lambda _: None).total_blocks == 2


def test_promised_blocks_are_kept_for_their_holder() -> None:
    pool, _ = pool_of(4)
    pool.promise(3)
    assert (pool.available, pool.held_positions) == (1, 12)
    with pytest.raises(ValueError, match="no room for 2 blocks"):
        pool.promise(2)
    pool.renounce(2)
    assert (pool.available, pool.held_positions) == (3, 4)
    pool.take()
    assert (pool.available, pool.held_positions) == (3, 4)
    with pytest.raises(ValueError, match="no block was promised"):
        pool.take()


def test_a_filled_block_with_a_key_is_kept_and_can_be_used_again() -> None:
    pool, evicted = pool_of(4)
    block = taken(pool, "a", filled=4)
    pool.release(block)
    assert pool.is_idle(block)
    assert (pool.available, pool.used_blocks, pool.held_positions) == (4, 0, 4)
    pool.use(block)
    assert not pool.is_idle(block)
    assert (pool.available, pool.used_blocks) == (3, 1)
    assert evicted == []


@pytest.mark.parametrize(("key", "filled"), [("a", 3), (None, 4)])
def test_other_blocks_are_free_when_their_last_user_goes(key: str | None, filled: int) -> None:
    pool, evicted = pool_of(4)
    block = taken(pool, key, filled)
    pool.use(block)
    pool.release(block)
    assert pool.used_blocks == 1
    pool.release(block)
    assert (pool.used_blocks, pool.held_positions) == (0, 0)
    assert evicted == ([block] if key else [])


def test_kept_blocks_make_way_when_no_free_one_is_left_least_recently_used_first() -> None:
    pool, evicted = pool_of(3)
    blocks = [taken(pool, key, filled=4) for key in "abc"]
    for block in blocks:
        pool.release(block)
    pool.use(blocks[0])
    pool.release(blocks[0])
    pool.promise(2)
    assert evicted == []
    assert [pool.take().index, pool.take().index] == [blocks[1].index, blocks[2].index]
    assert evicted == [blocks[1], blocks[2]]
    pool.check()


def test_a_kept_block_counts_as_room_until_it_is_used() -> None:
    pool, _ = pool_of(2)
    block = taken(pool, "a", filled=4)
    pool.release(block)
    pool.promise(1)
    assert pool.available == 1
    pool.use(block)
    assert pool.available == 0
    pool.take()
    pool.check()


def test_check_finds_a_lost_block() -> None:
    pool, _ = pool_of(2)
    pool._free.pop()
    with pytest.raises(AssertionError, match="not all blocks once"):
        pool.check()


def test_check_finds_promises_without_blocks() -> None:
    pool, _ = pool_of(2)
    pool.renounce(1)
    with pytest.raises(AssertionError, match="-1 blocks promised"):
        pool.check()


def test_check_finds_wrong_counts_of_users() -> None:
    pool, _ = pool_of(2)
    taken(pool).users = 0
    with pytest.raises(AssertionError, match="users"):
        pool.check()
