"""Who holds which slots of the KV arena.

The arena is handed out in blocks of a few positions. A holder first reserves its worst case, which either fits or
not; blocks are then taken as its tokens are computed, lowest first, so that memory that was never needed is never
touched.
"""

from __future__ import annotations

import heapq


class BlockPool:
    """All blocks of an arena. Free, or held by exactly one lease."""

    def __init__(self, positions: int, block_positions: int) -> None:
        self.block_positions = block_positions
        self.total_blocks = positions // block_positions
        self._free = list(range(self.total_blocks))  # a heap
        self._promised = 0  # reserved by leases but not taken yet
        self._leases: set[BlockLease] = set()

    def blocks_for(self, positions: int) -> int:
        """Blocks that `positions` need."""
        return -(-positions // self.block_positions)

    def can_reserve(self, positions: int) -> bool:
        """Whether `reserve` would succeed now."""
        return self.blocks_for(positions) <= len(self._free) - self._promised

    def reserve(self, positions: int) -> BlockLease:
        """Promises room for `positions`, which will not fail later.

        Raises:
            ValueError: there is no room; ask `can_reserve` first.
        """
        if not self.can_reserve(positions):
            raise ValueError(f"no room for {positions} positions")
        lease = BlockLease(self, self.blocks_for(positions))
        self._promised += lease.promised
        self._leases.add(lease)
        return lease

    @property
    def held_positions(self) -> int:
        """Positions in blocks that are taken or promised."""
        return (self.total_blocks - len(self._free) + self._promised) * self.block_positions

    def take(self, lease: BlockLease) -> int:
        """Gives a lease one of its promised blocks: the lowest free one. Called by `BlockLease` only."""
        lease.promised -= 1
        self._promised -= 1
        return heapq.heappop(self._free)

    def give_back(self, lease: BlockLease) -> None:
        """Ends a lease. Called by `BlockLease` only."""
        self._leases.remove(lease)
        self._promised -= lease.promised
        for block in lease.blocks:
            heapq.heappush(self._free, block)

    def check(self) -> None:
        """Raises AssertionError if a block is held twice or lost. For tests."""
        held = [block for lease in self._leases for block in lease.blocks]
        every = sorted(held + self._free)
        if every != list(range(self.total_blocks)):
            raise AssertionError(f"blocks held {sorted(held)} and free {sorted(self._free)} are not all blocks once")
        promised = sum(lease.promised for lease in self._leases)
        if promised != self._promised or promised > len(self._free):
            raise AssertionError(f"{promised} blocks promised, {self._promised} counted, {len(self._free)} free")


class BlockLease:
    """The slots of one holder, in the order of its positions."""

    def __init__(self, pool: BlockPool, promised: int) -> None:
        self.promised = promised
        self.blocks: list[int] = []
        self.slots: list[int] = []  # of every position in the blocks taken so far
        self._pool: BlockPool | None = pool

    def grow(self, positions: int) -> None:
        """Takes blocks until there are slots for `positions`, which must lie within the reservation."""
        if self._pool is None:
            raise ValueError("the lease was released")
        size = self._pool.block_positions
        while len(self.slots) < positions:
            if not self.promised:
                raise ValueError(f"{positions} positions are more than was reserved")
            block = self._pool.take(self)
            self.blocks.append(block)
            self.slots.extend(range(block * size, (block + 1) * size))

    def release(self) -> None:
        """Gives everything back. Idempotent."""
        if self._pool is not None:
            self._pool.give_back(self)
            self._pool = None
