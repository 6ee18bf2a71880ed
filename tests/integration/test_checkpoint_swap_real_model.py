"""The real model as built, and an export of what was learned: published, loaded, swapped under load, refused."""

from __future__ import annotations

import itertools
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from iterqr.rewrite.v1 import checkpoint_service_pb2 as pb
from iterqr.rewrite.v1 import checkpoint_service_pb2_grpc as pb_grpc
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as rewrite_pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2_grpc as rewrite_grpc
from iterqr_proto.registry import CheckpointRegistry
from iterqr_server.config import ModelConfig
from iterqr_server.models.built_model import read_built_model
from iterqr_server.models.progress import Silent
from iterqr_server.models.store import find_weights
from iterqr_server.models.weights import open_weights
from iterqr_training.export.run import ExportedCheckpoint, run_export
from iterqr_training.export.settings import ExportSettings
from support.real_server import real_server
from support.swaps_under_test import publish_built

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]

QUERIES = ["chiken tikka masla", "pad tai no peanuts", "cheap burgr with fries", "vegan sushi", "pasta carbonra"]
TIMEOUT_S = 180
BUILT, EXPORTED = "as-base-int8", "learned-int4"
LEARNED = Path(__file__).resolve().parents[2] / "benchmarks" / "checkpoints" / "loop-2-cores"


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


def exported(folder: Path) -> ExportedCheckpoint:
    """What three iterations of learning made, in int4."""
    base = ModelConfig().name
    settings = ExportSettings(base=base, out=folder, adapter=LEARNED / "adapter", checkpoint_id=EXPORTED, onnx="int4")
    checkpoint = run_export(settings, Silent(), datetime.now(UTC))
    found = find_weights(base, Silent())
    assert checkpoint.manifest["base_model"] == {"name": base, "sha256": found.sha256}
    assert checkpoint.serving is not None
    assert checkpoint.serving.rewrites
    built = read_built_model(checkpoint.folder / "onnx-int4")
    assert built.architecture == open_weights(found.path).architecture
    assert built.model_id.startswith(EXPORTED)
    return checkpoint


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("real")
    registry = CheckpointRegistry(str(folder / "registry"))
    publish_built(registry, BUILT, model_folder, folder)
    registry.publish(exported(folder).folder)
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


def test_checkpoints_are_swapped_under_load(served: Served) -> None:
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
        for name in (BUILT, EXPORTED):
            loaded = served.load(name)
            assert loaded.state == pb.CHECKPOINT_STATE_LOADED, loaded.reason
            served.split(champion, name, 50)
            served.split(name)
            champion = name
            of_champion = [served.rewrite(query) for query in QUERIES]
            assert {reply.checkpoint_id for reply in of_champion} == {name}
            texts = [[rewrite.text for rewrite in reply.rewrites] for reply in of_champion]
            assert any(texts)
            if name == BUILT:  # the same weights: the same text to the last letter
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
    data = served.registry / "checkpoints" / BUILT / "onnx" / "model.onnx.data"
    with data.open("r+b") as file:
        file.truncate(data.stat().st_size - 4096)
    shutil.rmtree(served.registry.parent / "cache" / BUILT)
    refused = served.load(BUILT)
    assert refused.state == pb.CHECKPOINT_STATE_FAILED
    assert "onnx/model.onnx.data: truncated" in refused.reason
    assert served.rewrite("ramen").checkpoint_id == champion
