"""The requests that run and those that wait, and the room they hold. Knows no model."""

from __future__ import annotations

import math

from iterqr_server.engine.prefix_cache import PrefixCache
from iterqr_server.engine.sequence import Sequence
from iterqr_server.engine.settings import EngineSettings
from iterqr_server.engine.waiting_queue import WaitingQueue


class Batch:
    """Requests start in the waiting queue's order, as soon as their worst case fits the arena; none is preempted."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self.cache = PrefixCache(settings.arena_positions, settings.block_positions)
        self.waiting: WaitingQueue[Sequence] = WaitingQueue()
        self.running: list[Sequence] = []  # in order of their start
        self.prompt_tokens = 0
        self.prompt_tokens_reused = 0

    def blocks_needed(self, sequence: Sequence) -> int:
        """Blocks that a request may need at most."""
        return self.cache.pool.blocks_for(self._positions(sequence))

    def rows_to_compute(self, sequence: Sequence) -> int:
        """Prompt rows that would be a request's own work if it started now."""
        return sequence.prompt_length - self.cache.computed_positions(sequence.token_ids)

    def push(self, sequence: Sequence) -> None:
        """Lets a request wait for `start_waiting`."""
        work = sequence.prompt_length + sequence.max_new_tokens
        self.waiting.push(sequence, tenant=sequence.tenant, deadline=sequence.deadline, work=work)

    def start_waiting(self) -> None:
        """Starts the requests that fit, in order; one that does not fit yet keeps the others waiting."""
        while self.waiting and len(self.running) < self._settings.max_running:
            sequence, positions = self.waiting.peek(), self._positions(self.waiting.peek())
            if not self.cache.can_lease(sequence.token_ids, positions):
                return
            self.waiting.pop()
            sequence.lease = self.cache.lease(sequence.token_ids, positions)
            self.prompt_tokens += sequence.prompt_length
            self.prompt_tokens_reused += sequence.lease.reused_positions
            self.running.append(sequence)

    def by_urgency(self, now: float) -> list[Sequence]:
        """Returns the running requests, the earliest deadline first; those that missed theirs no longer hurry."""
        return sorted(self.running, key=lambda sequence: _urgency(sequence, now))

    def remove(self, sequence: Sequence) -> None:
        """Takes out a request, which runs or waits, and frees what it holds."""
        if sequence.lease is None:
            self.waiting.remove(sequence)
        else:
            self.running.remove(sequence)
            sequence.lease.release()

    def _positions(self, sequence: Sequence) -> int:
        drafts = self._settings.max_draft_rows if sequence.drafts is not None else 0
        return sequence.max_positions + drafts


def _urgency(sequence: Sequence, now: float) -> float:
    return math.inf if sequence.deadline is None or sequence.deadline <= now else sequence.deadline
