"""Two builds of the real model as checkpoints of a registry: loaded beside each other, swapped under load, refused."""

from __future__ import annotations

import itertools
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from iterqr.rewrite.v1 import checkpoint_service_pb2 as pb
from iterqr.rewrite.v1 import checkpoint_service_pb2_grpc as pb_grpc
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as rewrite_pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2_grpc as rewrite_grpc
from iterqr_proto.registry import CheckpointRegistry
from iterqr_server.config import ModelConfig
from iterqr_server.models.builder import INT4_QUANTIZATION, build_model
from iterqr_server.models.progress import quiet_unless
from iterqr_server.models.store import find_weights
from support.real_server import real_server
from support.swaps_under_test import publish_built

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]

QUERIES = ["chiken tikka masla", "pad tai no peanuts", "cheap burgr with fries", "vegan sushi", "pasta carbonra"]
TIMEOUT_S = 180


@dataclass(frozen=True, slots=True)
class Served:
    registry: Path
    memory_mb: Callable[[], int]
    checkpoints: pb_grpc.CheckpointServiceStub
    rewriting: rewrite_grpc.QueryRewriteServiceStub

    def rewrite(self, query: str, client: str = "") -> rewrite_pb.RewriteQueryResponse:
        request = rewrite_pb.RewriteQueryRequest(query=query, client_id_hash=client)
        return self.rewriting.RewriteQuery(request, timeout=TIMEOUT_S)

    def load(self, checkpoint_id: str) -> pb.Checkpoint:
        request = pb.LoadCheckpointRequest(checkpoint_id=checkpoint_id)
        return self.checkpoints.LoadCheckpoint(request, timeout=TIMEOUT_S).checkpoint

    def state(self) -> pb.GetServingStateResponse:
        return self.checkpoints.GetServingState(pb.GetServingStateRequest(), timeout=TIMEOUT_S)

    def split(self, champion: str, canary: str = "", percent: int = 0) -> None:
        wanted = pb.TrafficSplit(champion_checkpoint_id=champion, canary_checkpoint_id=canary, canary_percent=percent)
        request = pb.SetTrafficSplitRequest(traffic_split=wanted, expected_generation=self.state().generation)
        self.checkpoints.SetTrafficSplit(request, timeout=TIMEOUT_S)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("real")
    with quiet_unless(False) as listener:
        found = find_weights(ModelConfig().name, listener)
        int4 = build_model(found, name="int4", quantization=INT4_QUANTIZATION, listener=listener)
    registry = CheckpointRegistry(str(folder / "registry"))
    publish_built(registry, "as-base-int8", model_folder, folder)
    publish_built(registry, "smaller-int4", int4.folder, folder, "onnx-int4")
    flags = {
        "hints.url": "",
        "checkpoints.registry": registry.url,
        "checkpoints.cache": str(folder / "cache"),
        "checkpoints.probe_max_ms": "170000",  # the machine may be busy with other tests
    }
    try:
        with real_server(folder / "log", **flags) as server, grpc.insecure_channel(server.address) as channel:
            yield Served(
                Path(registry.url),
                server.memory_mb,
                pb_grpc.CheckpointServiceStub(channel),
                rewrite_grpc.QueryRewriteServiceStub(channel),
            )
    finally:
        shutil.rmtree(folder / "registry")
        shutil.rmtree(folder / "cache", ignore_errors=True)


def test_two_builds_are_swapped_under_load(served: Served) -> None:
    base_id = served.state().traffic_split.champion_checkpoint_id
    one_model_mb = served.memory_mb()
    of_base = [served.rewrite(query) for query in QUERIES]
    assert {reply.checkpoint_id for reply in of_base} == {base_id}
    replies: list[rewrite_pb.RewriteQueryResponse] = []
    failures: list[grpc.RpcError] = []
    stopped = threading.Event()
    numbers = itertools.count()

    def search() -> None:
        while not stopped.is_set():
            number = next(numbers)
            try:
                replies.append(served.rewrite(f"{QUERIES[number % len(QUERIES)]} {number}", client=str(number)))
            except grpc.RpcError as error:
                failures.append(error)

    searching = threading.Thread(target=search)
    searching.start()
    try:
        champion = base_id
        for name in ("as-base-int8", "smaller-int4"):
            loaded = served.load(name)
            assert loaded.state == pb.CHECKPOINT_STATE_LOADED, loaded.reason
            served.split(champion, name, 50)
            served.split(name)
            champion = name
            of_champion = [served.rewrite(query) for query in QUERIES]
            assert {reply.checkpoint_id for reply in of_champion} == {name}
            texts = [[rewrite.text for rewrite in reply.rewrites] for reply in of_champion]
            assert any(texts)
            if name == "as-base-int8":  # the same weights: the same text to the last letter
                assert texts == [[rewrite.text for rewrite in reply.rewrites] for reply in of_base]
    finally:
        stopped.set()
        searching.join()
    assert failures == []
    ends = time.monotonic() + 60
    while served.memory_mb() > one_model_mb + 500:  # the two that were unloaded would be 1,600 MB
        assert time.monotonic() < ends, f"{served.memory_mb()} MB, at first {one_model_mb} MB"
        time.sleep(0.5)
    assert len({reply.checkpoint_id for reply in replies}) >= 2


def test_a_truncated_model_is_refused_while_the_champion_serves(served: Served) -> None:
    champion = served.state().traffic_split.champion_checkpoint_id
    data = served.registry / "checkpoints" / "as-base-int8" / "onnx" / "model.onnx.data"
    with data.open("r+b") as file:
        file.truncate(data.stat().st_size - 4096)
    shutil.rmtree(served.registry.parent / "cache" / "as-base-int8")
    refused = served.load("as-base-int8")
    assert refused.state == pb.CHECKPOINT_STATE_FAILED
    assert "onnx/model.onnx.data: truncated" in refused.reason
    assert served.rewrite("ramen").checkpoint_id == champion
