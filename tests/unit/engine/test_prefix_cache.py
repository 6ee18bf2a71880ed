from __future__ import annotations

from iterqr_server.engine.block_pool import BlockPool
from iterqr_server.engine.prefix_cache import PrefixCache

A, B, C = (1,) * 8, (2,) * 8, (3,) * 8


def test_a_prefix_is_held_once_and_kept_without_users() -> None:
    pool = BlockPool(32, 4)
    cache = PrefixCache(pool)
    first, second = cache.acquire(A), cache.acquire(A)
    assert first is second
    assert first.users == 2
    cache.release(first)
    cache.release(first)
    assert cache.find(A) is first
    assert pool.held_positions == 8


def test_the_least_recently_used_prefix_makes_room() -> None:
    cache = PrefixCache(BlockPool(24, 4))
    for tokens in (A, B, C, A):
        cache.release(cache.acquire(tokens))
    assert cache.make_room([8], keep=())
    assert [cache.find(tokens) is not None for tokens in (A, B, C)] == [True, False, True]


def test_prefixes_in_use_or_wanted_stay_and_nothing_is_evicted_in_vain() -> None:
    cache = PrefixCache(BlockPool(24, 4))
    cache.acquire(A)
    cache.release(cache.acquire(B))
    cache.release(cache.acquire(C))
    assert not cache.make_room([12], keep=C)
    assert len(cache) == 3
    assert cache.make_room([8], keep=C)
    assert [cache.find(tokens) is not None for tokens in (A, B, C)] == [True, False, True]


def test_room_is_counted_in_blocks_per_reservation() -> None:
    cache = PrefixCache(BlockPool(8, 4))
    assert cache.make_room([4, 4], keep=())
    assert not cache.make_room([5, 1], keep=())
    assert not cache.make_room([3, 3, 1], keep=())


def test_a_prefix_is_ready_when_all_of_it_is_computed() -> None:
    prefix = PrefixCache(BlockPool(8, 4)).acquire(A)
    prefix.computed = 7
    assert not prefix.is_ready
    prefix.computed = 8
    assert prefix.is_ready
