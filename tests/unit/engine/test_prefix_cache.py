from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from iterqr_server.engine.prefix_cache import Lease, PrefixCache
from iterqr_server.engine.scheduler import Chunk, plan_step
from iterqr_server.engine.sequence import Sequence

A = [1] * 4
B = [2] * 4
C = [3] * 4


def computed(cache: PrefixCache, prompt: list[int], more: int = 0) -> Lease:
    """A lease of a prompt that is computed as a whole."""
    lease = cache.lease(prompt, len(prompt) + more)
    lease.rows(0, len(prompt))
    lease.keep(0, range(len(prompt)))
    return lease


def test_whole_blocks_are_shared_whatever_follows_them() -> None:
    cache = PrefixCache(64, 4)
    first = computed(cache, [*A, *B, 7])
    second = cache.lease([*A, *B, 8, 9], 12)
    third = cache.lease([*A, *C, 7], 9)
    assert [lease.reused_positions for lease in (first, second, third)] == [0, 8, 4]
    assert list(second.shared) == list(first.shared)
    assert third.shared[0] is first.shared[0]
    assert third.shared[1] is not first.shared[1]
    assert second.positions(8).tolist() == first.positions(8).tolist()


def test_a_prompts_last_token_is_its_own() -> None:
    cache = PrefixCache(64, 4)
    first, second = computed(cache, [*A, *B]), cache.lease([*A, *B], 8)
    assert [lease.shared_positions for lease in (first, second)] == [4, 4]
    assert second.rows(4, 4).tolist() != first.positions(8)[4:].tolist()
    assert cache.lease(A, 4).shared_positions == cache.lease([1], 1).shared_positions == 0


def test_equal_blocks_after_different_ones_are_not_the_same() -> None:
    cache = PrefixCache(64, 4)
    first, second = computed(cache, [*A, *B, 7]), computed(cache, [*C, *B, 7])
    assert {block.index for block in first.shared}.isdisjoint(block.index for block in second.shared)


def test_blocks_being_computed_are_shared_but_not_counted_as_reused() -> None:
    cache = PrefixCache(64, 4)
    first = cache.lease([*A, *B, 7], 9)
    first.rows(0, 6)
    first.keep(0, range(6))
    second = cache.lease([*A, *B, 8], 9)
    assert list(second.shared) == list(first.shared)
    assert second.reused_positions == 6


def test_a_kept_prompt_is_found_again_and_makes_way_from_its_end() -> None:
    cache = PrefixCache(16, 4)
    computed(cache, [*A, *B, 7]).release()
    assert (len(cache), cache.pool.used_blocks, cache.pool.available) == (2, 0, 4)
    other = computed(cache, [*C, 7], more=4)  # reserves three of four blocks
    assert len(cache) == 3
    other.rows(5, 4)  # takes the third
    assert len(cache) == 2
    other.release()
    assert [cache.lease([*A, 7], 5).reused_positions, cache.lease([*C, 7], 5).reused_positions] == [4, 4]


def test_what_was_half_computed_is_forgotten_with_its_last_user() -> None:
    cache = PrefixCache(64, 4)
    first, second = cache.lease([*A, *B, 7], 9), cache.lease([*A, *B, 8], 9)
    first.rows(0, 6)
    first.release()
    first.keep(0, range(6))  # the step that was under way
    assert [block.filled for block in second.shared] == [4, 2]
    second.release()
    assert (len(cache), cache.pool.available) == (1, 16)


def test_a_step_that_outlives_its_requests_blocks_fills_nobody_elses() -> None:
    cache = PrefixCache(64, 4)
    first = cache.lease([*A, 7], 5)
    first.rows(0, 5)
    first.release()
    second = cache.lease([*A, 8], 5)
    first.keep(0, range(5))
    assert (second.reused_positions, second.shared[0].filled) == (0, 0)


def test_room_counts_kept_blocks_that_would_be_used_as_taken() -> None:
    cache = PrefixCache(16, 4)
    computed(cache, [*A, *B, 7]).release()
    holder = cache.lease([9], 8)
    assert cache.can_lease([*A, *B, 7], 8)
    assert not cache.can_lease([*A, *B, 7], 9)
    with pytest.raises(ValueError, match="no room for 9 positions"):
        cache.lease([*A, *B, 7], 9)
    assert cache.pool.used_blocks == 0
    holder.release()
    assert cache.can_lease([*A, *B, 7], 16)


def test_rows_beyond_what_was_reserved_are_refused() -> None:
    lease = PrefixCache(64, 4).lease([*A, 7], 6)
    lease.rows(0, 8)
    with pytest.raises(ValueError, match="9 rows from position 0 are more than was reserved"):
        lease.rows(0, 9)


def test_rejected_rows_give_their_slots_to_the_next() -> None:
    lease = PrefixCache(64, 4).lease([7], 12)
    first = lease.rows(0, 5).tolist()
    lease.keep(0, [0, 2, 4])
    assert lease.positions(3).tolist() == [first[0], first[2], first[4]]
    assert lease.rows(3, 3).tolist()[:2] == [first[1], first[3]]


def test_releasing_twice_is_releasing_once() -> None:
    cache = PrefixCache(64, 4)
    lease = cache.lease([*A, 7], 20)
    lease.rows(0, 5)
    lease.release()
    lease.release()
    cache.pool.check()
    assert cache.pool.available == 16


def test_computed_positions_are_those_that_others_hold_or_left() -> None:
    cache = PrefixCache(64, 4)
    computed(cache, [*A, *B, 7])
    assert cache.computed_positions([*A, *B, 7]) == 8
    assert cache.computed_positions([*A, 2, 2]) == 4
    assert cache.computed_positions(B) == 0


PROMPTS = st.lists(st.integers(1, 2), min_size=1, max_size=14)


class Arena(RuleBasedStateMachine):
    """Requests come, go and compute over a few blocks; each slot remembers the tokens up to the one written to it."""

    @initialize(block=st.integers(1, 5), blocks=st.integers(1, 14))
    def open(self, block: int, blocks: int) -> None:
        self.block = block
        self.cache = PrefixCache(block * blocks, block)
        self.running: list[Sequence] = []
        self.written: dict[int, tuple[int, ...]] = {}
        self.under_way: list[tuple[Chunk, list[int]]] = []

    @rule(prompt=PROMPTS, more=st.integers(0, 8))
    def start(self, prompt: list[int], more: int) -> None:
        positions = len(prompt) + more
        sequence = Sequence("", tuple(prompt), more + 1)
        if self.cache.can_lease(prompt, positions):
            sequence.lease = self.cache.lease(prompt, positions)
            self.running.append(sequence)
        else:
            with pytest.raises(ValueError, match="no room"):
                self.cache.lease(prompt, positions)
            busy = self.cache.pool.used_blocks or self.cache.pool.available < self.cache.pool.total_blocks
            assert busy or self.cache.pool.blocks_for(positions) > self.cache.pool.total_blocks

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 100))
    def leave(self, which: int) -> None:
        sequence = self.running.pop(which % len(self.running))
        assert sequence.lease is not None
        sequence.lease.release()

    @precondition(lambda self: not self.under_way)
    @rule(max_rows=st.integers(1, 20), drafts=st.integers(0, 3), coming_true=st.integers(0, 7), turn=st.integers(0, 5))
    def begin_step(self, max_rows: int, drafts: int, coming_true: int, turn: int) -> None:
        self.running = self.running[turn:] + self.running[:turn]
        slots_of_step: list[int] = []
        for chunk in plan_step(self.running, max_rows, self.block).chunks:
            known = chunk.sequence.token_ids
            left = chunk.sequence.prompt_length + chunk.sequence.max_new_tokens - 1 - len(known)
            guessed = max(0, min(drafts, left)) if chunk.wants_logits else 0
            slots = chunk.lease.rows(chunk.start, chunk.count + guessed).tolist()
            slots_of_step += slots
            for position, slot in enumerate(slots[: chunk.count], chunk.start):
                self.written[slot] = tuple(known[: position + 1])
            for row, slot in enumerate(slots[chunk.count :]):
                self.written[slot] = (*known, *range(100, 101 + row))
            accepted = [row for row in range(guessed) if coming_true >> row & 1]
            self.under_way.append((chunk, [*range(chunk.count), *(chunk.count + row for row in accepted)]))
        assert len(slots_of_step) == len(set(slots_of_step)), "two rows of a step write to one slot"
        for chunk, _ in self.under_way:
            past = [self.written.get(slot) for slot in chunk.lease.positions(chunk.start).tolist()]
            assert past == [tuple(chunk.sequence.token_ids[: end + 1]) for end in range(chunk.start)]

    @precondition(lambda self: self.under_way)
    @rule()
    def end_step(self) -> None:
        for chunk, rows in self.under_way:
            kept = chunk.lease.rows(chunk.start, max(rows) + 1).tolist() if chunk.sequence in self.running else []
            chunk.lease.keep(chunk.start, rows)
            if chunk.sequence not in self.running or not chunk.wants_logits:
                continue
            sequence = chunk.sequence
            for number in range(len(rows) - chunk.count):  # what came true stands where the chain would
                sequence.token_ids.append(200 + len(sequence.token_ids))
                self.written[kept[rows[chunk.count + number]]] = tuple(sequence.token_ids)
            sequence.token_ids.append(0)
            if sequence.generated >= sequence.max_new_tokens:
                self.running.remove(sequence)
                chunk.lease.release()
        self.under_way = []

    @invariant()
    def nothing_is_lost_or_held_twice(self) -> None:
        if not hasattr(self, "cache"):
            return
        self.cache.pool.check()
        used = {block.index for sequence in self.running if sequence.lease for block in sequence.lease.shared}
        own = [b.index for sequence in self.running if sequence.lease for b in sequence.lease._own]
        assert len(own) == len(set(own))
        assert used.isdisjoint(own)
        assert self.cache.pool.used_blocks == len(used) + len(own)

    def teardown(self) -> None:
        if not hasattr(self, "cache"):
            return
        for sequence in self.running:
            assert sequence.lease is not None
            sequence.lease.release()
        self.cache.pool.check()
        assert self.cache.pool.available == self.cache.pool.total_blocks
        assert len(self.cache) * self.block == self.cache.pool.held_positions


TestArena = Arena.TestCase
TestArena.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
