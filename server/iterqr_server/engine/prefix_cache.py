"""Prefixes whose K/V are computed once and stay in the arena for every request that starts with them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from iterqr_server.engine.block_pool import BlockLease, BlockPool


@dataclass(slots=True, eq=False)
class Prefix:
    """One shared prefix. The first `computed` of its tokens are in the arena, in `lease.slots` order."""

    token_ids: tuple[int, ...]
    lease: BlockLease
    computed: int = 0
    users: int = 0

    @property
    def is_ready(self) -> bool:
        """Whether requests may attend to it."""
        return self.computed == len(self.token_ids)


class PrefixCache:
    """Prefixes by token ids, least recently used first. Those in use are never evicted."""

    def __init__(self, pool: BlockPool) -> None:
        self._pool = pool
        self._prefixes: OrderedDict[tuple[int, ...], Prefix] = OrderedDict()

    def __len__(self) -> int:
        return len(self._prefixes)

    def find(self, token_ids: tuple[int, ...]) -> Prefix | None:
        """Returns the prefix if it is held, computed or not."""
        return self._prefixes.get(token_ids)

    def acquire(self, token_ids: tuple[int, ...]) -> Prefix:
        """Returns the prefix with one more user, reserving room if it is new (`BlockPool.can_reserve`)."""
        prefix = self._prefixes.get(token_ids)
        if prefix is None:
            prefix = self._prefixes[token_ids] = Prefix(token_ids, self._pool.reserve(len(token_ids)))
        self._prefixes.move_to_end(token_ids)
        prefix.users += 1
        return prefix

    def release(self, prefix: Prefix) -> None:
        """Takes one user away; the prefix stays until its room is needed."""
        prefix.users -= 1

    def make_room(self, positions: Sequence[int], keep: tuple[int, ...]) -> bool:
        """Evicts unused prefixes other than `keep` until reservations of `positions` fit. Returns whether they do.

        Evicts nothing if that would not be enough.
        """
        needed = sum(map(self._pool.blocks_for, positions))
        evictable = [p for p in self._prefixes.values() if not p.users and p.token_ids != keep]
        size = self._pool.block_positions
        missing = needed - (self._pool.total_blocks - self._pool.held_positions // size)
        if missing > sum(self._pool.blocks_for(len(p.token_ids)) for p in evictable):
            return False
        for prefix in evictable:
            if missing <= 0:
                break
            missing -= self._pool.blocks_for(len(prefix.token_ids))
            prefix.lease.release()
            del self._prefixes[prefix.token_ids]
        return True
