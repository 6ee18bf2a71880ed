"""Which tokens go into the next step. Decides only: runs nothing, changes nothing."""

from __future__ import annotations

from collections.abc import Sequence as Several
from dataclasses import dataclass, replace

from iterqr_server.engine.block_pool import Block
from iterqr_server.engine.cost_curve import CostCurve
from iterqr_server.engine.draft_tree import DraftTree, grow_trees
from iterqr_server.engine.prefix_cache import Lease
from iterqr_server.engine.sequence import Sequence

_NO_DRAFTS = DraftTree()


@dataclass(frozen=True, slots=True)
class Chunk:
    """`count` known tokens of a request from position `start` on, then guesses at what follows them."""

    sequence: Sequence
    start: int
    count: int
    tree: DraftTree = _NO_DRAFTS

    @property
    def rows(self) -> int:
        """Rows it takes."""
        return self.count + len(self.tree)

    @property
    def wants_logits(self) -> bool:
        """Whether its last known token, and then every draft, decides what comes next."""
        return self.start + self.count == len(self.sequence.token_ids)

    @property
    def lease(self) -> Lease:
        """The room of its request, which must be running."""
        if self.sequence.lease is None:
            raise ValueError("a waiting request has no chunks")
        return self.sequence.lease


@dataclass(frozen=True, slots=True)
class StepPlan:
    """The chunks of one step; every request at most once."""

    chunks: tuple[Chunk, ...]

    @property
    def rows(self) -> int:
        """Rows of all chunks."""
        return sum(chunk.rows for chunk in self.chunks)


def plan_step(running: Several[Sequence], max_rows: int, block_positions: int) -> StepPlan:
    """Returns the next step, without drafts, for `running` requests (most urgent first) of at most `max_rows` tokens.

    Decoding requests come first, one row each, so that a long prompt never stalls them. Prompts share the rest in the
    order given, cut where the rows end. Blocks that several prompts share are computed by the first of them in the
    step, and the others' rows follow in the same step: K/V are written before any row attends.
    """
    chunks: list[Chunk] = []
    rows = 0
    for sequence in running:
        if sequence.is_decoding and rows < max_rows:
            chunks.append(Chunk(sequence, len(sequence.token_ids) - 1, 1))
            rows += 1
    planned: dict[Block, int] = {}
    for sequence in running:
        if sequence.is_decoding or rows >= max_rows:
            continue
        chunk = _next_of_prompt(sequence, max_rows - rows, planned, block_positions)
        chunks.append(chunk)
        rows += chunk.count
    return StepPlan(tuple(chunk for chunk in chunks if chunk.count))


def add_drafts(plan: StepPlan, curve: CostCurve, *, max_rows: int, max_tree_rows: int) -> StepPlan:
    """Returns `plan` with draft trees for the requests that get a token from it, as far as they pay (`grow_trees`)."""
    drafting = [
        (chunk.sequence.drafts, chunk.sequence.max_new_tokens - chunk.sequence.generated - 1)
        for chunk in plan.chunks
        if chunk.wants_logits and chunk.sequence.drafts is not None
    ]
    if not drafting:
        return plan
    trees = iter(
        grow_trees(
            drafting,
            curve,
            rows=plan.rows,
            decoding_rows=sum(1 for chunk in plan.chunks if chunk.wants_logits),
            max_rows=max_rows,
            max_tree_rows=max_tree_rows,
        )
    )
    return StepPlan(
        tuple(
            replace(chunk, tree=next(trees)) if chunk.wants_logits and chunk.sequence.drafts is not None else chunk
            for chunk in plan.chunks
        )
    )


def _next_of_prompt(sequence: Sequence, max_rows: int, planned: dict[Block, int], block_positions: int) -> Chunk:
    """The prompt's next tokens that nobody in the step computes yet; notes in `planned` what it will have filled."""
    if sequence.lease is None:
        raise ValueError("a waiting request cannot be planned")
    start = sequence.lease.computed
    for number, block in enumerate(sequence.lease.shared):
        filled = planned.get(block, block.filled)
        if filled < block_positions:
            start = number * block_positions + filled
            break
    count = min(sequence.prompt_length - start, max_rows)
    for number in range(start // block_positions, len(sequence.lease.shared)):
        filled = min(start + count - number * block_positions, block_positions)
        if filled <= 0:
            break
        planned[sequence.lease.shared[number]] = filled
    return Chunk(sequence, start, count)
