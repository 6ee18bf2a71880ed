"""Sequences that are ready to be packed, for tests of executors without an engine."""

from __future__ import annotations

from iterqr_server.engine.draft_tree import DraftTree, Guess
from iterqr_server.engine.executor import PackedStep
from iterqr_server.engine.packing import pack
from iterqr_server.engine.prefix_cache import PrefixCache
from iterqr_server.engine.scheduler import Chunk, StepPlan
from iterqr_server.engine.sequence import Sequence

SPARE_ROWS = 16


def running_sequence(
    cache: PrefixCache, token_ids: list[int], name: str = "sequence", max_new_tokens: int = 8
) -> Sequence:
    """A running request, with room for `SPARE_ROWS` drafts."""
    sequence = Sequence(name, tuple(token_ids), max_new_tokens)
    sequence.lease = cache.lease(token_ids, sequence.max_positions + SPARE_ROWS)
    return sequence


def computed(sequence: Sequence) -> int:
    """How many tokens of a request without shared blocks of others are computed."""
    assert sequence.lease is not None
    missing = [(i, b) for i, b in enumerate(sequence.lease.shared) if b.filled < sequence.lease.block_positions]
    if not missing:
        return sequence.lease.computed
    number, block = missing[0]
    return number * sequence.lease.block_positions + block.filled


def packed(*parts: tuple[Sequence, int]) -> PackedStep:
    """A step of the next `count` tokens of each sequence, which then count as computed."""
    chunks = [Chunk(sequence, computed(sequence), count) for sequence, count in parts]
    step = pack(StepPlan(tuple(chunks)))
    for chunk in chunks:
        chunk.lease.keep(chunk.start, range(chunk.count))
    return step


def drafted(sequence: Sequence, tree: DraftTree) -> PackedStep:
    """A step of the last known token and a draft tree; nothing of it counts as computed."""
    return pack(StepPlan((Chunk(sequence, len(sequence.token_ids) - 1, 1, tree),)))


def tree(*rows: tuple[int, int]) -> DraftTree:
    """A draft tree of (token id, parent row) pairs."""
    return DraftTree(tuple(Guess(token, 0.5) for token, _ in rows), tuple(parent for _, parent in rows))
