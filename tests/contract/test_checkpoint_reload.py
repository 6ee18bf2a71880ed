"""Drain and reload: what callers get while one model makes way for another, and when that fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from iterqr.rewrite.v1 import checkpoint_service_pb2 as pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as rewrite_pb
from iterqr_proto.registry import CheckpointRegistry, Split
from iterqr_proto.registry.lease import Lease
from iterqr_proto.registry.storage import Storage
from iterqr_server.checkpoints.loading import CheckpointEngines
from iterqr_server.engine.interface import GenerationEngine
from structlog.testing import capture_logs
from support.checkpoint_server import (
    BASE_ID,
    BehavingEngines,
    CheckpointServer,
    behaving_engine,
    checkpoint_server,
    publish,
)
from support.grpc_calls import failure_of
from support.predictable import predictable_engine
from support.rewrite_load import load_on, suffix_of
from support.rewrite_server import Overrides

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
SLOW: dict[str, Any] = {"step_s": 0.02}
"""Its probes take seconds, so that loading it does."""


@pytest.fixture
def registry(tmp_path: Path) -> CheckpointRegistry:
    return CheckpointRegistry(str(tmp_path / "registry"))


@contextmanager
def reloading_server(
    registry: CheckpointRegistry,
    folder: Path,
    overrides: Overrides | None = None,
    open_base: Callable[[], GenerationEngine] | None = None,
    engines: CheckpointEngines | None = None,
) -> Iterator[CheckpointServer]:
    values = {name: dict(fields) for name, fields in (overrides or {}).items()}
    values["checkpoints"] = {"swap": "reload", **values.get("checkpoints", {})}
    with checkpoint_server(registry, folder / "cache", values, engines=engines, open_base=open_base) as server:
        yield server


@contextmanager
def promoting(server: CheckpointServer, checkpoint_id: str, go: Path) -> Iterator[None]:
    """The block runs while no model is in memory but one that loads until there is a file `go`; then that serves."""
    assert server.load(checkpoint_id).state == pb.CHECKPOINT_STATE_STAGED
    with ThreadPoolExecutor(1) as pool:
        promotion = pool.submit(server.set_split, checkpoint_id)
        server.wait_until(lambda: is_between(server))
        try:
            yield
            assert is_between(server)
        finally:
            go.touch()
        promotion.result()


def is_between(server: CheckpointServer) -> bool:
    metric = server.running.metric
    return (
        metric("iterqr_checkpoint_reloading") == 1
        and not metric("iterqr_checkpoints_loaded")
        and not metric("iterqr_checkpoints_draining")
    )


def reloads(server: CheckpointServer) -> dict[str, int]:
    """How often the champion was shut down, by what came of it."""
    counts = {
        result: int(server.running.metric("iterqr_checkpoint_reloads_total", result=result))
        for result in ("replaced", "brought_back", "none_left")
    }
    return {result: count for result, count in counts.items() if count}


def health_of(server: CheckpointServer, service: str) -> int:
    with grpc.insecure_channel(server.running.address) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        stub: Any = health_pb2_grpc.HealthStub(channel)
        return int(stub.Check(request, timeout=10).status)


def test_calls_wait_within_their_own_deadlines(registry: CheckpointRegistry, tmp_path: Path) -> None:
    go = tmp_path / "go"
    publish(registry, "slow", tmp_path, waits_for=str(go))
    with reloading_server(registry, tmp_path) as server:
        known = server.rewrite("pho")
        ask, ask_scores = server.rewriting.RewriteQuery, server.rewriting.ScoreRewrites
        with promoting(server, "slow", go):
            patient = [ask.future(rewrite_pb.RewriteQueryRequest(query=q), timeout=60) for q in ("ramen", "ramen")]
            scored = ask_scores.future(rewrite_pb.ScoreRewritesRequest(query="pho", rewrites=["pho bo"]), timeout=60)
            late = failure_of(lambda: ask(rewrite_pb.RewriteQueryRequest(query="laksa"), timeout=0.2))
            late_scores = failure_of(
                lambda: ask_scores(rewrite_pb.ScoreRewritesRequest(query="pho", rewrites=["pho ga"]), timeout=0.2)
            )
            cached = server.rewrite("pho")
            state = server.state()
            assert health_of(server, "") == health_of(server, "iterqr.rewrite.v1.QueryRewriteService") == NOT_SERVING
            assert health_of(server, "iterqr.rewrite.v1.CheckpointService") == SERVING
        for future in patient:
            assert (future.result().checkpoint_id, suffix_of(future.result())) == ("slow", "slow")
        assert scored.result().checkpoint_id == "slow"
        assert late.code is late_scores.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert (cached.checkpoint_id, cached.rewrites) == (BASE_ID, known.rewrites)
        assert state.traffic_split.champion_checkpoint_id == BASE_ID
        assert {each.checkpoint_id: each.state for each in state.loaded} == {"slow": pb.CHECKPOINT_STATE_LOADING}
        assert health_of(server, "iterqr.rewrite.v1.QueryRewriteService") == SERVING
        assert server.rewrite("laksa").checkpoint_id == "slow"
        assert server.running.metric("iterqr_checkpoint_reloading") == 0


def test_no_more_calls_wait_than_an_engine_takes(registry: CheckpointRegistry, tmp_path: Path) -> None:
    go = tmp_path / "go"
    publish(registry, "slow", tmp_path, waits_for=str(go))
    settings = {"engine": {"max_running": 1, "max_waiting": 1}}
    with reloading_server(registry, tmp_path, settings) as server:
        ask = server.rewriting.RewriteQuery
        with promoting(server, "slow", go):
            held = [ask.future(rewrite_pb.RewriteQueryRequest(query=q), timeout=60) for q in ("ramen", "laksa")]
            server.wait_until(lambda: server.running.metric("iterqr_engine_waiting") == 2)
            refused = failure_of(lambda: ask(rewrite_pb.RewriteQueryRequest(query="udon"), timeout=60))
        assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert {reply.result().checkpoint_id for reply in held} == {"slow"}


def test_a_call_that_outlasts_the_draining_is_answered_by_the_next(
    registry: CheckpointRegistry, tmp_path: Path
) -> None:
    """It loses its model twice: when the champion is closed under it, and when its waiting ends."""
    publish(registry, "slow", tmp_path, step_s=0.05, slow_from=250)
    publish(registry, "fast", tmp_path)
    with reloading_server(registry, tmp_path, {"checkpoints": {"drain_s": 0.2}}) as server:
        server.split("slow")
        future = server.rewriting.RewriteQuery.future(rewrite_pb.RewriteQueryRequest(query="x" * 100), timeout=60)
        server.wait_until(lambda: server.running.metric("iterqr_cache_lookups_total", result="miss") == 1)
        server.split("fast")
        reply = future.result()
        assert (reply.checkpoint_id, suffix_of(reply)) == ("fast", "fast")


def test_a_call_that_joined_one_on_the_draining_champion_is_answered_by_the_next(
    registry: CheckpointRegistry, tmp_path: Path
) -> None:
    """What both wait for ends with the champion; the one that came later was never on it."""
    go = tmp_path / "go"
    publish(registry, "stuck", tmp_path, step_s=0.05, slow_from=250)
    publish(registry, "next", tmp_path, waits_for=str(go))
    with reloading_server(registry, tmp_path, {"checkpoints": {"drain_s": 2}}) as server:
        server.split("stuck")
        ask = server.rewriting.RewriteQuery
        request = rewrite_pb.RewriteQueryRequest(query="x" * 100)
        first = ask.future(request, timeout=60)
        server.wait_until(lambda: server.running.metric("iterqr_cache_lookups_total", result="miss") == 1)
        server.load("next")
        with ThreadPoolExecutor(1) as pool:
            promotion = pool.submit(server.set_split, "next")
            server.wait_until(lambda: server.running.metric("iterqr_checkpoints_draining") == 1)
            second = ask.future(request, timeout=60)
            server.wait_until(lambda: is_between(server))
            go.touch()
            promotion.result()
        assert [suffix_of(future.result()) for future in (first, second)] == ["next", "next"]


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ({"babbles": True}, "probes: 0 of 2 answers are of the rewrite format"),
        ({"breaks_at": 2}, "the model broke as planned"),
    ],
    ids=["babbling", "broken"],
)
def test_one_that_fails_its_probes_gives_its_place_back(
    registry: CheckpointRegistry, tmp_path: Path, behaviour: dict[str, Any], reason: str
) -> None:
    publish(registry, "it1", tmp_path)
    publish(registry, "bad", tmp_path, **behaviour)
    with reloading_server(registry, tmp_path) as server, load_on(server, score_every=5) as load:
        server.split("it1")
        before = registry.read_state()
        assert server.load("bad").state == pb.CHECKPOINT_STATE_STAGED
        failure = failure_of(lambda: server.set_split("bad"))
        assert failure.code is grpc.StatusCode.FAILED_PRECONDITION
        assert failure.details.startswith("bad was refused: ")
        assert reason in failure.details
        assert registry.read_state() == before
        load.go_on()
        state = server.state()
        assert state.traffic_split.champion_checkpoint_id == "it1"
        assert {each.checkpoint_id: each.state for each in state.loaded} == {
            "it1": pb.CHECKPOINT_STATE_LOADED,
            "bad": pb.CHECKPOINT_STATE_FAILED,
        }
        assert health_of(server, "") == SERVING
        assert reloads(server) == {"replaced": 1, "brought_back": 1}
    assert load.failures == []
    assert set(load.answered_by()) <= {BASE_ID, "it1"}
    assert all(suffix_of(reply) == reply.checkpoint_id.replace(BASE_ID, "base") for reply in load.replies)


def test_the_servers_of_a_registry_follow_its_state(registry: CheckpointRegistry, tmp_path: Path) -> None:
    """A champion that another server wrote takes the champion's place; a canary that it wrote takes no calls here."""
    publish(registry, "it1", tmp_path)
    publish(registry, "it2", tmp_path)
    with reloading_server(registry, tmp_path) as server, load_on(server) as load:
        registry.write_state(Split("it1", "it2", 50), expected_generation=0)
        server.wait_until(lambda: server.state().traffic_split.champion_checkpoint_id == "it1")
        server.wait_until(lambda: "it2" in {each.checkpoint_id for each in server.state().loaded})
        load.go_on()
        state = server.state()
        assert state.traffic_split == pb.TrafficSplit(champion_checkpoint_id="it1")
        staged = {each.checkpoint_id: each for each in state.loaded}["it2"]
        assert staged.state == pb.CHECKPOINT_STATE_STAGED
        assert staged.reason == "one model is in memory at a time (checkpoints.swap is reload)"
    assert load.failures == []
    assert set(load.answered_by()) == {BASE_ID, "it1"}


def test_a_bad_champion_costs_one_reload_for_each_state(
    registry: CheckpointRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loaded beside another it would be tried again and again; here calls would wait each time."""
    monkeypatch.setattr("iterqr_server.checkpoints.retries.FIRST_WAIT_S", 0.01)
    publish(registry, "bad", tmp_path, babbles=True)

    def refusals() -> float:
        return server.running.metric("iterqr_checkpoint_loads_total", result="refused")

    with reloading_server(registry, tmp_path) as server:
        registry.write_state(Split("bad"), expected_generation=0)
        server.wait_until(lambda: refusals() == 1)
        time.sleep(1)
        assert refusals() == 1
        assert server.rewrite("pho").checkpoint_id == BASE_ID
        registry.write_state(Split("bad"), expected_generation=1)  # somebody insists
        server.wait_until(lambda: refusals() == 2)
        server.load("bad")  # so does its operator
        server.wait_until(lambda: refusals() == 3)
        time.sleep(0.5)
        assert refusals() == 3
        assert reloads(server) == {"brought_back": 3}
        assert server.rewrite("ramen").checkpoint_id == BASE_ID


def test_servers_of_a_registry_reload_one_after_the_other(registry: CheckpointRegistry, tmp_path: Path) -> None:
    publish(registry, "slow", tmp_path, **SLOW)
    (tmp_path / "other").mkdir()
    with reloading_server(registry, tmp_path) as one, reloading_server(registry, tmp_path / "other") as other:
        registry.write_state(Split("slow"), expected_generation=0)
        most = 0.0
        while {server.state().traffic_split.champion_checkpoint_id for server in (one, other)} != {"slow"}:
            most = max(most, sum(server.running.metric("iterqr_checkpoint_reloading") for server in (one, other)))
        assert most == 1
        assert one.rewrite("pho").checkpoint_id == other.rewrite("pho").checkpoint_id == "slow"


def test_who_waits_for_its_turn_serves_and_looks_again(registry: CheckpointRegistry, tmp_path: Path) -> None:
    """A roll-back that comes first makes the reload needless."""
    publish(registry, "it1", tmp_path)
    with reloading_server(registry, tmp_path) as server:
        with registry.reload_lease("host-b:50051"):
            registry.write_state(Split("it1"), expected_generation=0)
            server.wait_until(lambda: [each.checkpoint_id for each in server.state().loaded] == [BASE_ID, "it1"])
            assert server.rewrite("pho").checkpoint_id == BASE_ID
            registry.write_state(Split(), expected_generation=1)
            server.wait_until(lambda: server.state().loaded[-1].state == pb.CHECKPOINT_STATE_FAILED)
            assert server.state().loaded[-1].reason.startswith("was not to be the champion any more")
        assert reloads(server) == {}
        server.split("it1")
        assert server.rewrite("pho").checkpoint_id == "it1"


def test_nobody_makes_way_for_what_was_rolled_back_while_it_was_fetched(
    registry: CheckpointRegistry, tmp_path: Path
) -> None:
    go = tmp_path / "go"

    class SlowlyOpening(BehavingEngines):
        def open(self, artifact: Path) -> GenerationEngine:
            while not go.exists():
                time.sleep(0.01)
            return super().open(artifact)

    publish(registry, "it1", tmp_path)
    with reloading_server(registry, tmp_path, engines=SlowlyOpening()) as server:
        registry.write_state(Split("it1"), expected_generation=0)
        server.wait_until(lambda: server.state().loaded[-1].state == pb.CHECKPOINT_STATE_LOADING)
        registry.write_state(Split(), expected_generation=1)
        server.wait_until(lambda: server.state().generation == 2)
        go.touch()
        server.wait_until(lambda: server.state().loaded[-1].state != pb.CHECKPOINT_STATE_LOADING)
        assert server.state().loaded[-1].reason.startswith("was not to be the champion any more")
        assert server.rewrite("pho").checkpoint_id == BASE_ID
        assert reloads(server) == {}


def test_no_champion_goes_without_a_way_back(registry: CheckpointRegistry, tmp_path: Path) -> None:
    """What it would be loaded from again has to be there first."""
    publish(registry, "it1", tmp_path)
    publish(registry, "it2", tmp_path)
    with reloading_server(registry, tmp_path) as server:
        server.split("it1")
        server.load("it2")
        (Path(registry.url) / "checkpoints/it1/onnx/behaviour.json").write_bytes(b"{}")
        (tmp_path / "cache/it1/onnx/behaviour.json").write_bytes(b"{}")
        failure = failure_of(lambda: server.set_split("it2"))
        assert failure.code is grpc.StatusCode.FAILED_PRECONDITION
        assert failure.details.startswith("it2 was refused: it1: onnx/behaviour.json: truncated")
        assert server.rewrite("ramen").checkpoint_id == "it1"
        assert reloads(server) == {"replaced": 1}


def test_nobody_waits_for_a_split_that_is_not_written(registry: CheckpointRegistry, tmp_path: Path) -> None:
    publish(registry, "it1", tmp_path)
    with reloading_server(registry, tmp_path) as server:
        server.load("it1")
        wanted = pb.TrafficSplit(champion_checkpoint_id="it1")
        stale = pb.SetTrafficSplitRequest(traffic_split=wanted, expected_generation=7)
        assert failure_of(lambda: server.checkpoints.SetTrafficSplit(stale, timeout=20)).code is grpc.StatusCode.ABORTED
        assert reloads(server) == {}
        assert server.rewrite("pho").checkpoint_id == BASE_ID


def test_a_promotion_waits_for_another_writer(registry: CheckpointRegistry, tmp_path: Path) -> None:
    """Else the champion would have to come back, and no call be answered for as long again."""
    publish(registry, "it1", tmp_path)
    with reloading_server(registry, tmp_path) as server, ThreadPoolExecutor(1) as pool:
        server.load("it1")
        with Lease(Storage(registry.url), "leases/state", holder="another writer", ttl_s=60):
            promotion = pool.submit(server.set_split, "it1")
            server.wait_until(lambda: reloads(server) == {"replaced": 1})
            time.sleep(0.2)
            assert not promotion.done()
        promotion.result()
        assert registry.read_state().split == Split("it1")
        assert reloads(server) == {"replaced": 1}


def test_a_promotion_goes_on_without_its_caller(registry: CheckpointRegistry, tmp_path: Path) -> None:
    publish(registry, "slow", tmp_path, **SLOW)
    with reloading_server(registry, tmp_path) as server:
        server.load("slow")
        wanted = pb.TrafficSplit(champion_checkpoint_id="slow")
        request = pb.SetTrafficSplitRequest(traffic_split=wanted, expected_generation=0)
        left = failure_of(lambda: server.checkpoints.SetTrafficSplit(request, timeout=0.1))
        assert left.code is grpc.StatusCode.DEADLINE_EXCEEDED
        server.wait_until(lambda: registry.read_state().split == Split("slow"))
        assert server.rewrite("pho").checkpoint_id == "slow"


def test_a_server_stops_in_the_middle(registry: CheckpointRegistry, tmp_path: Path) -> None:
    publish(registry, "slow", tmp_path, step_s=0.2)
    with reloading_server(registry, tmp_path, {"checkpoints": {"probe_max_ms": 600_000}}) as server:
        server.load("slow")
        promotion = threading.Thread(target=lambda: failure_of(lambda: server.set_split("slow")))
        promotion.start()
        server.wait_until(lambda: is_between(server))
        stopping = time.monotonic()
    promotion.join()
    assert time.monotonic() - stopping < 5
    assert registry.read_state().split == Split()


def test_a_champion_that_does_not_shut_down_well_makes_way(registry: CheckpointRegistry, tmp_path: Path) -> None:
    """Whether its memory is free is told by loading the next."""
    engine = behaving_engine({"suffix": "base"})
    close = engine.close

    async def close_badly() -> None:
        await close()
        raise RuntimeError("the library hung up")

    bases = iter([engine])
    publish(registry, "it1", tmp_path)
    with (
        pytest.MonkeyPatch.context() as patched,
        capture_logs() as logs,
        reloading_server(registry, tmp_path, open_base=lambda: next(bases, behaving_engine({}))) as server,
    ):
        patched.setattr(engine, "close", close_badly)
        server.split("it1")
        assert server.rewrite("pho").checkpoint_id == "it1"
        assert health_of(server, "") == SERVING
        assert reloads(server) == {"replaced": 1}
    assert ("champion_not_closed", "the library hung up") in [(line["event"], line.get("reason")) for line in logs]


def test_the_champion_comes_back_once_there_is_memory(registry: CheckpointRegistry, tmp_path: Path) -> None:
    """What failed may give its own back a little after it was closed."""
    free_at: dict[GenerationEngine, float] = {}

    def is_free() -> bool:
        return time.monotonic() > max(free_at.values(), default=0.0)

    class GivesBackLate(BehavingEngines):
        def available_bytes(self) -> int | None:
            return 1 << 40 if is_free() else 0

        def open(self, artifact: Path) -> GenerationEngine:
            engine = super().open(artifact)
            close = engine.close

            async def close_slowly() -> None:
                free_at.setdefault(engine, time.monotonic() + 1)
                await close()

            patched.setattr(engine, "close", close_slowly)
            return engine

    def needs_memory(_step: object) -> None:
        if not is_free():
            raise RuntimeError("out of memory")

    publish(registry, "bad", tmp_path, babbles=True)
    with (
        pytest.MonkeyPatch.context() as patched,
        reloading_server(
            registry,
            tmp_path,
            open_base=lambda: predictable_engine(before_step=needs_memory),
            engines=GivesBackLate(),
        ) as server,
    ):
        server.load("bad")
        failure = failure_of(lambda: server.set_split("bad"))
        assert "0 of 2 answers are of the rewrite format" in failure.details
        assert server.rewrite("pho").checkpoint_id == BASE_ID
        assert reloads(server) == {"brought_back": 1}


def test_a_roll_back_that_fails_is_no_end(registry: CheckpointRegistry, tmp_path: Path) -> None:
    """The base model does not load any more; the champion does."""
    publish(registry, "it1", tmp_path)
    bases = iter([{"suffix": "base"}, {"suffix": "base"}])

    def open_base() -> GenerationEngine:
        return behaving_engine(next(bases, {"breaks_at": 1}))

    with reloading_server(registry, tmp_path, open_base=open_base) as server:
        server.split("it1")
        failure = failure_of(lambda: server.split(BASE_ID))
        assert failure.code is grpc.StatusCode.FAILED_PRECONDITION
        assert "the model broke as planned" in failure.details
        assert server.rewrite("pho").checkpoint_id == "it1"
        assert reloads(server) == {"replaced": 1, "brought_back": 1}
        assert health_of(server, "") == SERVING


def test_where_no_model_comes_back_the_process_ends(registry: CheckpointRegistry, tmp_path: Path) -> None:
    publish(registry, "bad", tmp_path, babbles=True)
    opened = 0

    def open_base() -> GenerationEngine:
        nonlocal opened
        opened += 1
        return behaving_engine({"suffix": "base"} if opened == 1 else {"breaks_at": 1, "suffix": "base"})

    with capture_logs() as logs, reloading_server(registry, tmp_path, open_base=open_base) as server:
        server.load("bad")
        load = load_on(server)
        with load as calls:
            failure = failure_of(lambda: server.set_split("bad"))
            assert failure.code is grpc.StatusCode.FAILED_PRECONDITION
            assert "no model could be loaded again" in failure.details
            server.running.run(server.running.application.failed())
            server.wait_until(lambda: health_of(server, "") == NOT_SERVING)
            assert reloads(server) == {"none_left": 1}
        assert {error.code() for error in calls.failures} == {grpc.StatusCode.UNAVAILABLE}
    assert "engine_failed" in [line["event"] for line in logs]
