"""The default model with a small random adapter, exported for real and served from the checkpoint's folder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2_grpc as pb_grpc
from iterqr_server.config import ModelConfig
from iterqr_server.models.built_model import read_built_model
from iterqr_server.models.progress import Silent
from iterqr_server.models.store import find_weights
from iterqr_server.models.weights import open_weights
from iterqr_training.export.qwen2_tensors import qwen2_tensors
from iterqr_training.export.run import run_export
from iterqr_training.export.settings import ExportSettings
from support.lora_adapters import lora_tensors, save_adapter
from support.real_server import RealServer

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]
_SCALE = 0.002  # of A and B: the merged weights differ from the base's, and the model still writes rewrites


@pytest.mark.usefixtures("model_folder")  # so that the weights are there
def test_an_adapter_of_the_default_model_is_exported_and_served(tmp_path: Path) -> None:
    base = ModelConfig().name
    found = find_weights(base, Silent())
    weights = open_weights(found.path)
    shapes = qwen2_tensors(weights.architecture, own_head=weights.has_own_head)
    adapter = save_adapter(
        tmp_path / "adapter", lora_tensors(shapes, "q_proj|v_proj", scale=_SCALE), base_model_name_or_path=base
    )
    settings = ExportSettings(base=base, out=tmp_path, adapter=adapter, checkpoint_id="tuned")
    exported = run_export(settings, Silent(), datetime.now(UTC))
    assert exported.manifest["base_model"] == {"name": base, "sha256": found.sha256}
    assert exported.serving is not None
    assert exported.serving.rewrites
    onnx = exported.folder / "onnx-int8"
    built = read_built_model(onnx)
    assert built.architecture == weights.architecture
    server = RealServer(tmp_path / "server.log", **{"model.name": str(onnx), "hints.url": ""})
    try:
        server.start()
        with grpc.insecure_channel(server.address) as channel:
            stub = pb_grpc.QueryRewriteServiceStub(channel)
            reply = stub.RewriteQuery(pb.RewriteQueryRequest(query="chiken tikka masla"), timeout=120)
    finally:
        server.kill()
    assert reply.rewrites
    assert built.model_id.startswith("tuned-")
    assert reply.checkpoint_id == built.model_id
