"""What a swap must do on every engine, as one set of tests; see `SwapConformance`.

Through the server: gRPC calls on one side, a registry with checkpoints on the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import pytest
from iterqr.rewrite.v1 import checkpoint_service_pb2 as pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as rewrite_pb
from iterqr_proto.registry import Split
from support.checkpoint_server import CheckpointServer
from support.grpc_calls import failure_of
from support.rewrite_load import Load, load_on, suffix_of

GOOD, REFUSED = ("it1", "it2"), ("damaged", "wrong-base")
"""Ids of the checkpoints that the registry of every swap under test has."""
QUERIES = ("chiken tikka masala", "brekky burrito")


@dataclass(frozen=True, slots=True)
class SwapUnderTest:
    """A running server of a registry with the checkpoints `GOOD` and `REFUSED`; it serves its base model.

    `holds_two`: there is memory for a second model beside the champion. `is_marked`: the last word of a first rewrite
    is the id of the checkpoint that wrote it (`base` of the base model); otherwise all have the base's weights.
    """

    server: CheckpointServer
    base_id: str
    holds_two: bool
    is_marked: bool
    load_threads: int = 3
    calls: int = 12

    def bring_in(self, checkpoint_id: str) -> None:
        """Loads or stages it, as there is room, and makes it the champion."""
        loaded = self.server.load(checkpoint_id)
        expected = pb.CHECKPOINT_STATE_LOADED if self.holds_two else pb.CHECKPOINT_STATE_STAGED
        assert loaded.state == expected, loaded.reason
        self.server.set_split(checkpoint_id)
        assert self.champion() == checkpoint_id

    def back_to_base(self) -> None:
        """As it was at the start."""
        self.server.split(self.base_id)
        self.server.wait_until(lambda: [each.checkpoint_id for each in self.server.loaded()] == [self.base_id])

    def champion(self) -> str:
        """Who is, by the serving state."""
        return self.server.state().traffic_split.champion_checkpoint_id

    def answers(self) -> list[list[str]]:
        """The rewrites of `QUERIES`."""
        return [[rewrite.text for rewrite in self.server.rewrite(query).rewrites] for query in QUERIES]

    def check(self, load: Load, allowed: Sequence[str]) -> None:
        """No call failed, and every answer is that of the checkpoint that it names."""
        assert [f"{error.code()}: {error.details()}" for error in load.failures] == []
        assert set(load.answered_by()) <= set(allowed)
        assert set(load.scored_by) <= set(allowed)
        for reply in load.replies:
            if self.is_marked:
                assert suffix_of(reply) == reply.checkpoint_id.replace(self.base_id, "base")
            assert reply.outcome in (rewrite_pb.OUTCOME_COMPLETE, rewrite_pb.OUTCOME_NO_REWRITES)


class SwapConformance:
    """Subclass it where a fixture `swapping` gives a `SwapUnderTest` that serves its base model."""

    def test_swap_fails_no_call_under_load(self, swapping: SwapUnderTest) -> None:
        """Each checkpoint is the champion in turn, after a trial as canary where there is memory for both."""
        server, base = swapping.server, swapping.base_id
        with load_on(server, swapping.load_threads, score_every=5) as load:
            champion = base
            for name in GOOD:
                if swapping.holds_two:
                    server.split(champion, name, 50)
                    load.go_on(swapping.calls)
                swapping.bring_in(name)
                champion = name
                load.go_on(swapping.calls)
        swapping.check(load, (base, *GOOD))
        assert set(load.answered_by()) >= {base, GOOD[-1]}
        assert load.scored_by
        server.wait_until(lambda: [each.checkpoint_id for each in server.loaded()] == [GOOD[-1]])

    def test_swap_is_rolled_back(self, swapping: SwapUnderTest) -> None:
        """The same answers as before, from the base model loaded once more."""
        before = swapping.answers()
        assert any(before)
        with load_on(swapping.server, swapping.load_threads) as load:
            swapping.bring_in(GOOD[0])
            if swapping.is_marked:
                assert swapping.answers() != before
            else:
                assert swapping.answers() == before
            swapping.bring_in(swapping.base_id)
            load.go_on(swapping.calls)
        swapping.check(load, (swapping.base_id, GOOD[0]))
        assert swapping.answers() == before
        assert swapping.server.registry.read_state().split == Split()

    def test_swap_of_a_canary_needs_memory_for_two(self, swapping: SwapUnderTest) -> None:
        server, base = swapping.server, swapping.base_id
        state = server.load(GOOD[0])
        generation = server.registry.read_state().generation
        if swapping.holds_two:
            server.set_split(base, GOOD[0], 50)
            server.set_split(base)
            return
        assert state.state == pb.CHECKPOINT_STATE_STAGED
        failure = failure_of(lambda: server.set_split(base, GOOD[0], 50))
        assert failure.code is grpc.StatusCode.FAILED_PRECONDITION
        assert f"{GOOD[0]} cannot be a canary of {base} on this server, which has no room for both" in failure.details
        assert state.reason in failure.details
        assert server.registry.read_state().generation == generation
        assert server.rewrite("pho").checkpoint_id == base

    @pytest.mark.parametrize(
        ("name", "reason"), [("damaged", "damaged: "), ("wrong-base", "wrong base: it was trained on another")]
    )
    def test_swap_to_what_must_not_serve_is_refused(self, swapping: SwapUnderTest, name: str, reason: str) -> None:
        """By the load, and when the registry's state demands it; the champion serves on, and was never shut down."""
        server, base = swapping.server, swapping.base_id
        swaps = _swaps(server)
        with load_on(server, swapping.load_threads) as load:
            refused = server.load(name)
            assert refused.state == pb.CHECKPOINT_STATE_FAILED
            assert refused.reason.startswith(reason)
            failure = failure_of(lambda: server.set_split(name))
            assert failure.code is grpc.StatusCode.FAILED_PRECONDITION
            state = server.registry.read_state()
            server.registry.write_state(Split(name), expected_generation=state.generation)
            server.wait_until(lambda: server.state().generation == state.generation + 1)
            load.go_on(swapping.calls)
            assert swapping.champion() == base
        swapping.check(load, (base,))
        assert _swaps(server) == swaps


def _swaps(server: CheckpointServer) -> list[float]:
    metric = server.running.metric
    results = ("replaced", "brought_back", "none_left")
    reloads = [metric("iterqr_checkpoint_reloads_total", result=result) for result in results]
    return [metric("iterqr_checkpoint_swaps_total"), *reloads]
