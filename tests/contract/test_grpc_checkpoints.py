"""Every method of CheckpointService, its bad input, and what callers of the rewrite service see of checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
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
from support.checkpoint_server import BASE_ID, TEMPLATE, CheckpointServer, checkpoint_server, publish
from support.grpc_calls import failure_of

INVALID, PRECONDITION = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION
POLICY = {"policy_version": 1, "policy_id": "of-it2", "min_confidence": 0.5}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CheckpointServer]:
    folder = tmp_path_factory.mktemp("checkpoints")
    registry = CheckpointRegistry(str(folder / "registry"))
    publish(registry, "it1", folder, manifest={"created_at": "2026-11-01T00:00:00Z"})
    publish(
        registry,
        "it2",
        folder,
        manifest={"created_at": "2026-11-02T00:00:00Z", "parent_checkpoint_id": "it1", "policy": POLICY},
    )
    publish(registry, "it3", folder, manifest={"created_at": "2026-11-03T00:00:00Z", "parent_checkpoint_id": "it2"})
    with checkpoint_server(registry, folder / "cache", {"checkpoints": {"max_loaded": 6}}) as server:
        yield server


@pytest.fixture(autouse=True)
def _from_the_base(served: CheckpointServer) -> Iterator[None]:
    yield
    served.split(BASE_ID)
    served.wait_until(lambda: served.state().traffic_split.champion_checkpoint_id == BASE_ID)


def states(checkpoints: object) -> dict[str, int]:
    return {checkpoint.checkpoint_id: checkpoint.state for checkpoint in checkpoints}  # type: ignore[attr-defined]


def test_list_is_paged_newest_first(served: CheckpointServer) -> None:
    first = served.checkpoints.ListCheckpoints(pb.ListCheckpointsRequest(page_size=2), timeout=20)
    second = served.checkpoints.ListCheckpoints(
        pb.ListCheckpointsRequest(page_size=2, page_token=first.next_page_token), timeout=20
    )
    assert [c.checkpoint_id for c in first.checkpoints] == ["it3", "it2"]
    assert [c.checkpoint_id for c in second.checkpoints] == ["it1"]
    assert second.next_page_token == ""
    assert [c.parent_checkpoint_id for c in (*first.checkpoints, *second.checkpoints)] == ["it2", "it1", ""]
    assert {c.state for c in first.checkpoints} == {pb.CHECKPOINT_STATE_AVAILABLE}
    everything = served.checkpoints.ListCheckpoints(pb.ListCheckpointsRequest(), timeout=20)
    assert len(everything.checkpoints) == 3


def test_load_split_state_unload(served: CheckpointServer) -> None:
    before = served.state()
    assert before.traffic_split == pb.TrafficSplit(champion_checkpoint_id=BASE_ID)
    assert states(before.loaded) == {BASE_ID: pb.CHECKPOINT_STATE_LOADED}
    assert served.load("it1").state == pb.CHECKPOINT_STATE_LOADED
    assert served.load("it1").state == pb.CHECKPOINT_STATE_LOADED
    set_to = served.set_split(BASE_ID, "it1", 25)
    assert set_to.traffic_split == pb.TrafficSplit(
        champion_checkpoint_id=BASE_ID, canary_checkpoint_id="it1", canary_percent=25
    )
    after = served.state()
    assert after.traffic_split == set_to.traffic_split
    assert after.generation == set_to.generation == before.generation + 1
    assert served.registry.read_state().split == Split("", "it1", 25)
    served.set_split(BASE_ID)
    served.load("it2")
    served.checkpoints.UnloadCheckpoint(pb.UnloadCheckpointRequest(checkpoint_id="it2"), timeout=20)
    assert "it2" not in states(served.state().loaded)


def split_request(champion: str, canary: str = "", percent: int = 0, generation: int = 0) -> pb.SetTrafficSplitRequest:
    wanted = pb.TrafficSplit(champion_checkpoint_id=champion, canary_checkpoint_id=canary, canary_percent=percent)
    return pb.SetTrafficSplitRequest(traffic_split=wanted, expected_generation=generation)


CHAMPION, CANARY = "traffic_split.champion_checkpoint_id", "traffic_split.canary_checkpoint_id"
PERCENT = "traffic_split.canary_percent"


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("ListCheckpoints", pb.ListCheckpointsRequest(page_size=101), "page_size"),
        ("ListCheckpoints", pb.ListCheckpointsRequest(page_size=-1), "page_size"),
        ("ListCheckpoints", pb.ListCheckpointsRequest(page_token="../x"), "page_token"),
        ("ListCheckpoints", pb.ListCheckpointsRequest(page_token="gone"), "page_token"),
        ("LoadCheckpoint", pb.LoadCheckpointRequest(), "checkpoint_id"),
        ("LoadCheckpoint", pb.LoadCheckpointRequest(checkpoint_id="../it1"), "checkpoint_id"),
        ("UnloadCheckpoint", pb.UnloadCheckpointRequest(checkpoint_id="x" * 129), "checkpoint_id"),
        ("SetTrafficSplit", pb.SetTrafficSplitRequest(), "traffic_split"),
        ("SetTrafficSplit", split_request(""), CHAMPION),
        ("SetTrafficSplit", split_request("a/b"), CHAMPION),
        ("SetTrafficSplit", split_request("it1", "it2", 101), PERCENT),
        ("SetTrafficSplit", split_request("it1", "it2", -1), PERCENT),
        ("SetTrafficSplit", split_request("it1", "", 5), PERCENT),
        ("SetTrafficSplit", split_request("it1", "it1", 5), CANARY),
        ("SetTrafficSplit", split_request("it1", BASE_ID, 5), CANARY),
        ("SetTrafficSplit", split_request("it1", generation=-1), "expected_generation"),
    ],
)
def test_bad_input_is_named(served: CheckpointServer, method: str, request_: object, field: str) -> None:
    before = served.registry.read_state()
    failure = failure_of(lambda: getattr(served.checkpoints, method)(request_, timeout=20))
    assert failure.code is INVALID
    assert [violation[0] for violation in failure.violations] == [field]
    assert served.registry.read_state() == before


def test_what_is_not_there_and_what_cannot_be(served: CheckpointServer) -> None:
    def unload(checkpoint_id: str) -> object:
        return served.checkpoints.UnloadCheckpoint(pb.UnloadCheckpointRequest(checkpoint_id=checkpoint_id), timeout=20)

    cases: list[tuple[Callable[[], object], grpc.StatusCode, str]] = [
        (lambda: served.load("it9"), grpc.StatusCode.NOT_FOUND, "it9: not in the registry"),
        (lambda: unload("it9"), PRECONDITION, "it9 is not loaded on this server"),
        (lambda: unload(BASE_ID), PRECONDITION, f"{BASE_ID} takes traffic"),
        (lambda: served.set_split("it3"), PRECONDITION, "it3 is not loaded on this server; load it first"),
        (lambda: served.set_split(BASE_ID, "it3", 1), PRECONDITION, "it3 is not loaded"),
    ]
    for call, code, words in cases:
        failure = failure_of(call)
        assert failure.code is code
        assert words in failure.details


def test_a_state_that_changed_since_is_not_overwritten(served: CheckpointServer) -> None:
    served.load("it1")
    stale = served.registry.read_state().generation
    served.set_split("it1")
    failure = failure_of(lambda: served.checkpoints.SetTrafficSplit(split_request("it1", generation=stale), timeout=20))
    assert failure.code is grpc.StatusCode.ABORTED
    assert f"generation {stale + 1}, not {stale}" in failure.details
    assert served.registry.read_state().generation == stale + 1


def test_a_second_writer_is_refused_by_name(served: CheckpointServer) -> None:
    served.load("it1")
    with Lease(Storage(served.registry.url), "leases/state", holder="someone else", ttl_s=30):
        failure = failure_of(lambda: served.set_split("it1"))
    assert failure.code is grpc.StatusCode.UNAVAILABLE
    assert "someone else holds the lease" in failure.details
    served.set_split("it1")


def test_replies_tell_checkpoint_and_policy_and_caches_are_apart(served: CheckpointServer) -> None:
    """The same query of two clients: one meets the canary, one the champion; then each from its own cache."""
    served.split(BASE_ID, "it2", 50)
    clients = {served.rewrite("warm", client_id_hash=str(i)).checkpoint_id: str(i) for i in range(40)}
    assert clients.keys() == {BASE_ID, "it2"}
    for source in (rewrite_pb.SOURCE_GENERATED, rewrite_pb.SOURCE_CACHE):
        replies = {name: served.rewrite("pad see ew", client_id_hash=client) for name, client in clients.items()}
        assert {name: reply.checkpoint_id for name, reply in replies.items()} == {name: name for name in clients}
        assert {reply.source for reply in replies.values()} == {source}
        assert replies["it2"].rewrites[0].text == "pad see ew it2"
        assert replies[BASE_ID].rewrites[0].text == "pad see ew base"
        assert json.loads(replies["it2"].policy_json) == POLICY
        assert replies[BASE_ID].policy_json == ""


def test_a_client_stays_with_its_checkpoint_and_the_share_is_kept(served: CheckpointServer) -> None:
    served.split(BASE_ID, "it3", 30)
    first = {i: served.rewrite("soup", client_id_hash=f"client {i}").checkpoint_id for i in range(300)}
    again = {i: served.rewrite("stew", client_id_hash=f"client {i}").checkpoint_id for i in range(300)}
    assert first == again
    assert 60 <= list(first.values()).count("it3") <= 120
    without = {served.rewrite("soup", request_id=f"request-{i}").checkpoint_id for i in range(60)}
    assert without == {BASE_ID, "it3"}


def test_scores_come_from_the_champion(served: CheckpointServer) -> None:
    served.split("it1", "it2", 100)
    request = rewrite_pb.ScoreRewritesRequest(query="pho", rewrites=["noodle soup"])
    assert served.rewriting.ScoreRewrites(request, timeout=20).checkpoint_id == "it1"
    assert served.rewrite("pho").checkpoint_id == "it2"


def test_health_and_metrics_tell_of_checkpoints(served: CheckpointServer) -> None:
    served.split(BASE_ID, "it2", 10)
    with grpc.insecure_channel(served.running.address) as channel:
        request = health_pb2.HealthCheckRequest(service="iterqr.rewrite.v1.CheckpointService")
        health: Any = health_pb2_grpc.HealthStub(channel)  # has no types
        reply = health.Check(request, timeout=20)
    assert reply.status == health_pb2.HealthCheckResponse.SERVING
    metric = served.running.metric
    assert metric("iterqr_checkpoint_traffic_percent", checkpoint_id="it2") == 10
    assert metric("iterqr_checkpoint_traffic_percent", checkpoint_id=BASE_ID) == 90
    assert metric("iterqr_checkpoints_loaded") == 2
    assert metric("iterqr_registry_generation") == served.registry.read_state().generation


def test_a_split_that_another_server_wrote_is_followed(served: CheckpointServer) -> None:
    generation = served.registry.read_state().generation
    served.registry.write_state(Split("it1", "it3", 100), expected_generation=generation)
    served.wait_until(lambda: served.state().traffic_split.canary_checkpoint_id == "it3")
    served.wait_until(lambda: served.state().traffic_split.champion_checkpoint_id == "it1")
    assert served.rewrite("dal").checkpoint_id == "it3"


def test_a_registry_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    registry = CheckpointRegistry(str(tmp_path / "registry"))
    publish(registry, "it1", tmp_path)
    with checkpoint_server(registry, tmp_path / "cache") as server:
        server.split("it1")
        state = tmp_path / "registry" / "state.json"
        intact = state.read_text("utf-8")
        state.write_text(intact[: len(intact) // 2], "utf-8")
        server.wait_until(lambda: server.running.metric("iterqr_registry_reads_total", result="failed") >= 2)
        assert server.rewrite("pho").checkpoint_id == "it1"
        failure = failure_of(lambda: server.checkpoints.SetTrafficSplit(split_request("it1"), timeout=20))
        assert failure.code is PRECONDITION
        assert "state.json" in failure.details
        state.write_text(intact, "utf-8")
        server.set_split("it1")


def test_a_server_starts_with_what_the_registry_says(tmp_path: Path) -> None:
    registry = CheckpointRegistry(str(tmp_path / "registry"))
    publish(registry, "it1", tmp_path)
    publish(registry, "bad", tmp_path, manifest={"base_model": {"name": "other", "sha256": "b" * 64}})
    registry.write_state(Split("it1"), expected_generation=0)
    with checkpoint_server(registry, tmp_path / "cache") as server:
        assert server.rewrite("pho").checkpoint_id == "it1"
        assert states(server.state().loaded) == {"it1": pb.CHECKPOINT_STATE_LOADED}
    registry.write_state(Split("bad", "it1", 0), expected_generation=1)
    with checkpoint_server(registry, tmp_path / "cache") as server:
        assert server.rewrite("pho").checkpoint_id == BASE_ID
        told = {checkpoint.checkpoint_id: checkpoint.reason for checkpoint in server.state().loaded}
        assert "wrong base" in told["bad"]


def test_a_checkpoint_is_asked_in_the_words_it_was_trained_on(tmp_path: Path) -> None:
    registry = CheckpointRegistry(str(tmp_path / "registry"))
    publish(registry, "own", tmp_path)
    publish(registry, "longer", tmp_path, manifest={"template": TEMPLATE.replace("Rewrite.", "Rewrite well.").encode()})
    publish(registry, "none", tmp_path, manifest={"template": b""})
    publish(registry, "broken", tmp_path, manifest={"template": b"format_version = 'v1'"})
    with checkpoint_server(registry, tmp_path / "cache") as server:
        tokens = {}
        for name in ("own", "longer", "none"):
            server.split(name)
            tokens[name] = server.rewrite("pho").token_usage.prompt_tokens
        assert tokens["longer"] == tokens["own"] + len(" well")
        assert tokens["none"] > 1_000  # instruction and examples of food delivery
        assert "prompt template" in server.load("broken").reason
