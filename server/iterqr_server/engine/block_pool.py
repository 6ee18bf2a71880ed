"""Who holds which blocks of the KV arena.

The arena is handed out in blocks of a few positions. A request promises itself its worst case first, which either fits
or not; blocks are then taken as its tokens are computed. A block with a key is worth keeping when its last user has
gone: it waits, idle, for another request that begins alike, until its room is needed.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Hashable


class Block:
    """A few neighbouring slots of the arena while somebody holds them; the first `filled` have their K/V."""

    __slots__ = ("filled", "index", "key", "users")

    def __init__(self, index: int, key: Hashable | None) -> None:
        self.index = index
        self.key = key
        self.users = 1
        self.filled = 0


class BlockPool:
    """All blocks of an arena. Each is free, in use, or idle: filled, kept, and evicted least recently used first.

    `on_evict` is called with a block that is forgotten although it has a key.
    """

    def __init__(self, positions: int, block_positions: int, on_evict: Callable[[Block], None]) -> None:
        self.block_positions = block_positions
        self.total_blocks = positions // block_positions
        self._on_evict = on_evict
        self._free = list(range(self.total_blocks))  # a heap: the lowest first, so that unneeded memory stays untouched
        self._idle: OrderedDict[int, Block] = OrderedDict()
        self._used: set[Block] = set()
        self._promised = 0

    def blocks_for(self, positions: int) -> int:
        """Blocks that `positions` need."""
        return -(-positions // self.block_positions)

    @property
    def available(self) -> int:
        """Blocks that can be promised now: free or idle, and not promised yet."""
        return len(self._free) + len(self._idle) - self._promised

    @property
    def held_positions(self) -> int:
        """Positions in blocks that are in use, idle or promised."""
        return (self.total_blocks - len(self._free) + min(self._promised, len(self._free))) * self.block_positions

    def slots(self, block: Block) -> range:
        """The arena slots of a block."""
        return range(block.index * self.block_positions, (block.index + 1) * self.block_positions)

    def promise(self, blocks: int) -> None:
        """Sets blocks aside, so that taking them will not fail.

        Raises:
            ValueError: there is no room; ask `available` first.
        """
        if blocks > self.available:
            raise ValueError(f"no room for {blocks} blocks")
        self._promised += blocks

    def renounce(self, blocks: int) -> None:
        """Gives back promised blocks that were not taken."""
        self._promised -= blocks

    def take(self, key: Hashable | None = None) -> Block:
        """Turns a promised block into one in use by one user."""
        if self._promised < 1:
            raise ValueError("no block was promised")
        self._promised -= 1
        if not self._free:
            self._evict(next(iter(self._idle.values())))
        block = Block(heapq.heappop(self._free), key)
        self._used.add(block)
        return block

    def is_idle(self, block: Block) -> bool:
        """Whether nobody uses a kept block: using it then takes one that could have been promised."""
        return block.index in self._idle

    def use(self, block: Block) -> None:
        """Adds a user to a block in use or idle."""
        if self._idle.pop(block.index, None) is not None:
            self._used.add(block)
        block.users += 1

    def release(self, block: Block) -> None:
        """Takes a user away. A block without users stays, idle, if it has a key and is filled."""
        block.users -= 1
        if block.users:
            return
        self._used.remove(block)
        self._idle[block.index] = block
        if block.key is None or block.filled < self.block_positions:
            self._evict(block)

    def check(self) -> None:
        """Raises AssertionError if a block is held twice or lost. For tests."""
        every = sorted([*self._free, *self._idle, *(block.index for block in self._used)])
        if every != list(range(self.total_blocks)):
            raise AssertionError(f"free, idle and used blocks are not all blocks once: {every}")
        if any(block.users < 1 for block in self._used) or any(block.users for block in self._idle.values()):
            raise AssertionError("users of blocks are counted wrong")
        if not 0 <= self._promised <= len(self._free) + len(self._idle):
            raise AssertionError(f"{self._promised} blocks promised, {len(self._free)} free, {len(self._idle)} idle")

    @property
    def used_blocks(self) -> int:
        """Blocks in use."""
        return len(self._used)

    def _evict(self, block: Block) -> None:
        del self._idle[block.index]
        heapq.heappush(self._free, block.index)
        if block.key is not None:
            self._on_evict(block)
