"""Swaps under load, canaries that are taken back, and checkpoints that are refused, as callers see them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from iterqr.rewrite.v1 import checkpoint_service_pb2 as pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as rewrite_pb
from iterqr_proto.registry import CheckpointRegistry, Split
from support.checkpoint_server import BASE_ID, BEHAVIOUR, checkpoint_server, publish
from support.checkpoints import checkpoint_folder
from support.grpc_calls import failure_of
from support.rewrite_load import load_on, suffix_of

SWAPS = 20
ALARMS: dict[str, Any] = {
    "alarm_min_calls": 10,
    "alarm_extra_errors": 0.1,
    "alarm_latency_ratio": 2,
    "alarm_drift": 0.4,
}


@pytest.fixture
def registry(tmp_path: Path) -> CheckpointRegistry:
    return CheckpointRegistry(str(tmp_path / "registry"))


def test_no_call_fails_in_twenty_swaps(registry: CheckpointRegistry, tmp_path: Path) -> None:
    """Each checkpoint is a canary first, then champion; the one before it is drained and unloaded."""
    names = [f"it{number}" for number in range(SWAPS)]
    for name in names:
        publish(registry, name, tmp_path)
    with checkpoint_server(registry, tmp_path / "cache") as server, load_on(server) as load:
        champion = BASE_ID
        for name in names:
            server.split(champion, name, 50)
            load.go_on(8)
            server.set_split(name)
            champion = name
            load.go_on(8)
        server.wait_until(lambda: len(server.state().loaded) == 1)
        assert server.running.metric("iterqr_checkpoint_swaps_total") >= 2 * SWAPS
    assert load.failures == []
    answered = load.answered_by()
    assert set(answered) == {BASE_ID, *names}
    for reply in load.replies:
        assert suffix_of(reply) == reply.checkpoint_id.replace(BASE_ID, "base")


def test_a_call_that_outlasts_the_draining_is_answered_by_the_champion(
    registry: CheckpointRegistry, tmp_path: Path
) -> None:
    publish(registry, "slow", tmp_path, step_s=0.05, slow_from=250)
    publish(registry, "fast", tmp_path)
    with checkpoint_server(registry, tmp_path / "cache", {"checkpoints": {"drain_s": 0.2}}) as server:
        server.split("slow")
        future = server.rewriting.RewriteQuery.future(rewrite_pb.RewriteQueryRequest(query="x" * 100), timeout=60)
        server.wait_until(lambda: server.running.metric("iterqr_cache_lookups_total", result="miss") == 1)
        server.split("fast")
        reply = future.result()
        assert (reply.checkpoint_id, suffix_of(reply)) == ("fast", "fast")


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        ({"breaks_at": 400}, "engine"),
        ({"step_s": 0.02, "slow_from": 300}, "latency"),
        ({"says": "fix: pho\nintent: eat\nmeaning: noodle soup\nrw: always the same"}, "drift"),
        ({"says": "fix: pho\nintent: eat\nmeaning: nothing to propose"}, "drift"),
    ],
    ids=["breaks", "slow", "collapsed", "mute"],
)
def test_a_bad_canary_is_taken_back_within_a_second(
    registry: CheckpointRegistry, tmp_path: Path, behaviour: dict[str, Any], kind: str
) -> None:
    """Whatever is wrong with it: no call fails, and the champion has all traffic before the registry says so."""
    publish(registry, "it1", tmp_path)
    publish(registry, "bad", tmp_path, **behaviour)
    settings = ALARMS | ({} if kind == "latency" else {"alarm_latency_ratio": 100})  # a busy machine is no alarm
    with (
        checkpoint_server(registry, tmp_path / "cache", {"checkpoints": settings}) as server,
        load_on(server) as load,
    ):
        server.split("it1", "bad", 50)
        server.wait_until(lambda: server.running.metric("iterqr_rollback_seconds_count") == 1)
        taken_back_s = time.monotonic()
        assert server.running.metric("iterqr_rollback_seconds_sum") < 1
        assert server.running.metric("iterqr_canary_alarms_total", kind=kind) == 1
        state = registry.read_state()
        assert state.split == Split("it1")
        assert state.reason.startswith(f"rolled back ({kind})")
        load.go_on()
        calls = zip(load.replies, load.begun_s, strict=False)
        assert {reply.checkpoint_id for reply, begun_s in calls if begun_s > taken_back_s} == {"it1"}
        told = {checkpoint.checkpoint_id: checkpoint for checkpoint in server.state().loaded}
        assert told["bad"].state == pb.CHECKPOINT_STATE_FAILED
        assert told["bad"].reason == state.reason
        assert told["it1"].state == pb.CHECKPOINT_STATE_LOADED
    assert load.failures == []


def test_a_canary_that_fails_its_calls_is_taken_back(registry: CheckpointRegistry, tmp_path: Path) -> None:
    """Calls with a deadline that its slow steps cannot meet fail, as they would on any slow model."""
    publish(registry, "it1", tmp_path)
    publish(registry, "bad", tmp_path, step_s=0.05, slow_from=300)
    with checkpoint_server(registry, tmp_path / "cache", {"checkpoints": ALARMS}) as server:
        server.split("it1", "bad", 50)
        failed = 0
        for number in range(400):
            request = rewrite_pb.RewriteQueryRequest(query=f"dish {number}", client_id_hash=str(number))
            try:
                server.rewriting.RewriteQuery(request, timeout=0.5)
            except grpc.RpcError:
                failed += 1
            if server.running.metric("iterqr_rollback_seconds_count"):
                break
        assert server.running.metric("iterqr_canary_alarms_total", kind="errors") == 1
        assert failed > 0
        assert registry.read_state().split == Split("it1")


def test_a_good_canary_raises_no_alarm(registry: CheckpointRegistry, tmp_path: Path) -> None:
    publish(registry, "it1", tmp_path)
    publish(registry, "it2", tmp_path)
    with checkpoint_server(
        registry, tmp_path / "cache", {"checkpoints": ALARMS | {"alarm_latency_ratio": 100}}
    ) as server:
        server.split("it1", "it2", 50)
        with load_on(server) as load:
            load.go_on(150)
        time.sleep(0.3)
        assert registry.read_state().split == Split("it1", "it2", 50)
        assert min(load.answered_by().values()) > 30


def _damaged(registry: CheckpointRegistry, change: Callable[[Path], object]) -> None:
    change(Path(registry.url) / "checkpoints" / "bad" / BEHAVIOUR)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-2]), "truncated"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"bad", b"BAD")), "altered"),
        (lambda path: path.unlink(), "missing"),
    ],
    ids=["truncated", "altered", "missing"],
)
def test_a_damaged_checkpoint_is_refused(
    registry: CheckpointRegistry, tmp_path: Path, change: Callable[[Path], object], reason: str
) -> None:
    publish(registry, "bad", tmp_path)
    _damaged(registry, change)
    _is_refused(registry, tmp_path, f"bad: {BEHAVIOUR}: {reason}")


@pytest.mark.parametrize(
    ("manifest", "behaviour", "reason"),
    [
        (
            {"base_model": {"name": "another", "sha256": "b" * 64}},
            {},
            "wrong base: it was trained on another (SHA-256 bbb",
        ),
        ({"format_version": "v2"}, {}, "format_version: it writes v2, this server reads v1"),
        ({"policy": {"policy_version": 1, "policy_id": "x" * 9_000}}, {}, "policy"),
        ({}, {"babbles": True}, "probes: 0 of 2 answers are of the rewrite format"),
        ({}, {"step_s": 0.08}, "probes: the slowest answer took"),
        ({}, {"breaks_at": 2}, "the model broke as planned"),
    ],
    ids=["base", "format", "policy", "babbling", "slow", "broken"],
)
def test_a_checkpoint_that_must_not_serve_is_refused(
    registry: CheckpointRegistry, tmp_path: Path, manifest: dict[str, Any], behaviour: dict[str, Any], reason: str
) -> None:
    folder = checkpoint_folder(tmp_path, "bad", {BEHAVIOUR: json.dumps({"suffix": "bad", **behaviour}).encode()})
    document = json.loads((folder / "manifest.json").read_text("utf-8"))
    (folder / "manifest.json").write_text(json.dumps(document | manifest), "utf-8")
    if "policy_id" in str(manifest):  # the schema refuses it already
        target = Path(registry.url) / "checkpoints"
        target.mkdir(parents=True)
        folder.rename(target / "bad")
    else:
        registry.publish(folder)
    _is_refused(registry, tmp_path, reason, probe_max_ms=2_500 if "step_s" in behaviour else 10_000)


def test_a_checkpoint_that_needs_too_much_memory_is_refused(registry: CheckpointRegistry, tmp_path: Path) -> None:
    publish(registry, "bad", tmp_path)
    _is_refused(
        registry, tmp_path, r"needs about 1 MB of memory, and 9000000 MB must stay free", memory_reserve_mb=9_000_000
    )


def test_an_artifact_that_is_no_model_and_one_of_another_kind(registry: CheckpointRegistry, tmp_path: Path) -> None:
    registry.publish(checkpoint_folder(tmp_path, "bad", {BEHAVIOUR: b"no JSON"}))
    _is_refused(registry, tmp_path, "behaviour.json: is not readable")
    registry.publish(checkpoint_folder(tmp_path, "hf", {"model.safetensors": b"x"}, kind="hf-safetensors"))
    with checkpoint_server(registry, tmp_path / "cache2") as server:
        assert "has no artifact of kind onnx-int4" in server.load("hf").reason


def _is_refused(registry: CheckpointRegistry, tmp_path: Path, reason: str, **settings: object) -> None:
    """By name and with the reason, while the champion serves; and when the registry's state demands it, too."""
    publish(registry, "it1", tmp_path)
    with checkpoint_server(registry, tmp_path / "cache", {"checkpoints": {"max_loaded": 3, **settings}}) as server:
        if "memory_reserve_mb" not in settings:
            server.split("it1")
        champion = server.rewrite("first").checkpoint_id
        refused = server.load("bad")
        assert refused.state == pb.CHECKPOINT_STATE_FAILED
        assert reason in refused.reason
        failure = failure_of(lambda: server.set_split(champion, "bad", 10))
        assert failure.code is grpc.StatusCode.FAILED_PRECONDITION
        state = registry.read_state()
        registry.write_state(Split("bad"), expected_generation=state.generation)
        server.wait_until(lambda: server.state().generation == state.generation + 1)
        assert server.rewrite("second").checkpoint_id == champion
        assert server.state().traffic_split.champion_checkpoint_id == champion
        listed = server.checkpoints.ListCheckpoints(pb.ListCheckpointsRequest(), timeout=20).checkpoints
        assert {c.checkpoint_id: c.state for c in listed}["bad"] == pb.CHECKPOINT_STATE_FAILED
