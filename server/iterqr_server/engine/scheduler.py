"""Which tokens go into the next step. Decides only: runs nothing, changes nothing."""

from __future__ import annotations

from collections.abc import Sequence as Several
from dataclasses import dataclass

from iterqr_server.engine.prefix_cache import Prefix
from iterqr_server.engine.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Chunk:
    """`count` consecutive tokens of one holder, from its first that is not computed."""

    holder: Sequence | Prefix
    start: int
    count: int

    @property
    def wants_logits(self) -> bool:
        """Whether its last row decides a request's next token."""
        return isinstance(self.holder, Sequence) and self.start + self.count == len(self.holder.token_ids)


@dataclass(frozen=True, slots=True)
class StepPlan:
    """The chunks of one step; every holder at most once."""

    chunks: tuple[Chunk, ...]


def plan_step(running: Several[Sequence], max_rows: int) -> StepPlan:
    """Returns the next step for `running` requests (in order of arrival) of at most `max_rows` tokens.

    Decoding requests come first, one row each, so that a long prompt never stalls them. Prompts share the rest in
    order of arrival, cut where the rows end. A shared prefix is computed once, before the suffixes that follow it.
    """
    chunks = [Chunk(s, s.computed, s.pending) for s in running if s.is_decoding][:max_rows]
    rows = sum(chunk.count for chunk in chunks)
    planned: set[int] = set()
    for sequence in running:
        if rows >= max_rows:
            break
        if sequence.is_decoding:
            continue
        prefix = sequence.prefix
        holder: Sequence | Prefix = prefix if prefix is not None and not prefix.is_ready else sequence
        if id(holder) in planned:
            continue
        planned.add(id(holder))
        count = min(len(holder.token_ids) - holder.computed, max_rows - rows)
        chunks.append(Chunk(holder, holder.computed, count))
        rows += count
    return StepPlan(tuple(chunks))
