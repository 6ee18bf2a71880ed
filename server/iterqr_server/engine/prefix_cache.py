"""Prompts that begin alike share the blocks of their common beginning, whatever that is: instruction, hints, query.

A block of prompt tokens is found again by its own tokens and the block before it, so what it stands for is the whole
prompt up to its end (as in vLLM's automatic prefix caching). Requests share blocks from the moment the first of them
starts: who comes first in a step computes them (`iterqr_server.engine.scheduler`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from iterqr_server.engine.block_pool import Block, BlockPool


class PrefixCache:
    """Leases room for whole requests out of an arena of its own accounting."""

    def __init__(self, positions: int, block_positions: int) -> None:
        self.pool = BlockPool(positions, block_positions, self._forget)
        self._blocks: dict[object, Block] = {}

    def __len__(self) -> int:
        return len(self._blocks)

    def can_lease(self, prompt: Sequence[int], positions: int) -> bool:
        """Whether there is room for a request of `positions` in all that begins with `prompt`."""
        known = self._find(prompt)
        idle = sum(map(self.pool.is_idle, known))
        return self.pool.blocks_for(positions) - len(known) + idle <= self.pool.available

    def computed_positions(self, prompt: Sequence[int]) -> int:
        """How many of the prompt's first positions are computed already, or will be for another request before."""
        return len(self._find(prompt)) * self.pool.block_positions

    def lease(self, prompt: Sequence[int], positions: int) -> Lease:
        """Reserves `positions` for a request that begins with `prompt`.

        The prompt's full blocks are shared with other requests, except that its last token is always the request's own:
        it must be computed for its logits.

        Raises:
            ValueError: there is no room; ask `can_lease` first.
        """
        shared = self._find(prompt)
        new = self.pool.blocks_for(positions) - len(shared)
        if new + sum(map(self.pool.is_idle, shared)) > self.pool.available:
            raise ValueError(f"no room for {positions} positions")
        reused = sum(block.filled for block in shared)
        for block in shared:
            self.pool.use(block)
        self.pool.promise(new)
        size = self.pool.block_positions
        for start in range(len(shared) * size, _shared_positions(prompt, size), size):
            key = (shared[-1] if shared else None, tuple(prompt[start : start + size]))
            shared.append(self.pool.take(key))
            self._blocks[key] = shared[-1]
            new -= 1
        return Lease(self.pool, shared, new, positions, reused)

    def _find(self, prompt: Sequence[int]) -> list[Block]:
        size = self.pool.block_positions
        found: list[Block] = []
        for start in range(0, _shared_positions(prompt, size), size):
            block = self._blocks.get((found[-1] if found else None, tuple(prompt[start : start + size])))
            if block is None:
                break
            found.append(block)
        return found

    def _forget(self, block: Block) -> None:
        del self._blocks[block.key]


def _shared_positions(prompt: Sequence[int], size: int) -> int:
    return (len(prompt) - 1) // size * size


class Lease:
    """The slots of one request: shared blocks of its prompt, then blocks of its own.

    Own slots are taken for the rows of a step and become positions when the rows are kept; those of rejected drafts are
    used again. So K/V are never moved: the order of positions is the order of `_slots`, wherever these lie.
    """

    def __init__(self, pool: BlockPool, shared: list[Block], promised: int, positions: int, reused: int) -> None:
        self.reused_positions = reused
        self.shared_positions = len(shared) * pool.block_positions
        self._pool = pool
        self._shared = shared
        self._own: list[Block] = []
        self._promised = promised
        self._slots = np.zeros(max(positions, self.shared_positions), np.int64)
        self._known = self.shared_positions
        for number, block in enumerate(shared):
            start = number * pool.block_positions
            self._slots[start : start + pool.block_positions] = pool.slots(block)
        self._spare: list[int] = []
        self._released = False

    @property
    def block_positions(self) -> int:
        """Positions of each block."""
        return self._pool.block_positions

    @property
    def shared(self) -> Sequence[Block]:
        """The prompt's shared blocks, in order."""
        return self._shared

    @property
    def computed(self) -> int:
        """Own positions included, how many are computed if all shared ones are."""
        return self._known

    def positions(self, count: int) -> NDArray[np.int64]:
        """The slots of the first `count` positions."""
        return self._slots[:count]

    def rows(self, start: int, count: int) -> NDArray[np.int64]:
        """The slots for `count` rows from position `start` on. Takes blocks if need be."""
        known = self._slots[start : min(start + count, self.shared_positions)]
        wanted = count - known.size
        while len(self._spare) < wanted:
            if not self._promised:
                raise ValueError(f"{count} rows from position {start} are more than was reserved")
            self._promised -= 1
            self._own.append(self._pool.take())
            self._spare.extend(self._pool.slots(self._own[-1]))
        return np.concatenate([known, np.array(self._spare[:wanted], np.int64)])

    def keep(self, start: int, rows: Sequence[int]) -> None:
        """The given ones of the rows from position `start` on are computed and stay, in this order.

        After a release, it only notes what shared blocks of others were filled.
        """
        size = self._pool.block_positions
        end = min(start + len(rows), self.shared_positions)
        for position in range(start - start % size, end, size):
            block = self._shared[position // size]
            block.filled = max(block.filled, min(end - position, size))
        if self._released:
            return
        first_own = max(0, self.shared_positions - start)  # rows before it lie in shared blocks
        kept = [self._spare[row - first_own] for row in rows if row >= first_own]
        self._slots[self._known : self._known + len(kept)] = kept
        self._known += len(kept)
        gone = set(kept)
        self._spare = [slot for slot in self._spare if slot not in gone]

    def release(self) -> None:
        """Gives everything back. Idempotent."""
        if self._released:
            return
        self._released = True
        for block in reversed([*self._shared, *self._own]):  # the end of a prompt is evicted before its beginning
            self._pool.release(block)
        self._pool.renounce(self._promised)
