"""Sequences that are ready to be packed, for tests of executors without an engine."""

from __future__ import annotations

from iterqr_server.engine.block_pool import BlockPool
from iterqr_server.engine.executor import PackedStep
from iterqr_server.engine.packing import pack
from iterqr_server.engine.scheduler import Chunk, StepPlan
from iterqr_server.engine.sequence import Sequence


def running_sequence(
    pool: BlockPool, token_ids: list[int], name: str = "sequence", max_new_tokens: int = 8
) -> Sequence:
    """A running request without a shared prefix."""
    sequence = Sequence(name, (), tuple(token_ids), max_new_tokens)
    sequence.lease = pool.reserve(sequence.max_own_positions)
    return sequence


def packed(*parts: tuple[Sequence, int]) -> PackedStep:
    """A step of the next `count` tokens of each sequence, which then count as computed."""
    chunks = []
    for sequence, count in parts:
        assert sequence.lease is not None
        sequence.lease.grow(sequence.computed + count)
        chunks.append(Chunk(sequence, sequence.computed, count))
    step = pack(StepPlan(tuple(chunks)))
    for sequence, count in parts:
        sequence.computed += count
    return step
