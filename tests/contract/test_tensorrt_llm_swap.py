"""Checkpoints for TensorRT-LLM in a swap: which artifact, on which base, beside the champion or in its place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from iterqr.rewrite.v1 import checkpoint_service_pb2 as pb
from iterqr_server.backends.nvidia_gpu import Gpu
from iterqr_server.backends.tensorrt_llm_checkpoints import TensorRtLlmCheckpointEngines, base_digest
from iterqr_server.backends.tensorrt_llm_memory import second_model_bytes
from iterqr_server.main import checkpoint_engines
from iterqr_server.models.errors import UnsupportedModelError
from support.checkpoints import checkpoint_folder
from support.grpc_calls import failure_of
from support.rewrite_load import load_on
from support.swaps_under_test import double_server
from support.tensorrt_llm_double import llm as double_llm
from support.tensorrt_llm_double.installing import SHAPES, settings_for_double, write_checkpoint

ROOMY, FULL = 40 << 30, 2 << 30
FP8 = {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}


class Alive:
    """How many models were in memory when each was made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fails_for: str = "") -> None:
        self.beside: list[int] = []
        make = double_llm.LLM.__init__

        def counted(made: double_llm.LLM, model: str | Path, **kwargs: Any) -> None:  # noqa: ANN401
            self.beside.append(sum(not each.is_shut_down for each in made.made))
            if fails_for and fails_for in str(model):
                raise RuntimeError("CUDA out of memory")
            make(made, model, **kwargs)

        monkeypatch.setattr(double_llm.LLM, "__init__", counted)


def test_where_memory_allows_both_are_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = Alive(monkeypatch)
    with double_server(tmp_path, lambda _: ROOMY) as (server, double, base_id):
        server.split(base_id, "it1", 50)
        assert [llm.is_shut_down for llm in double.llms] == [False, False]
        server.set_split("it1")
        server.wait_until(lambda: double.llms[0].is_shut_down)
        assert server.rewrite("pho").rewrites[0].text == "pho it1"
    assert alive.beside == [0, 1]


def test_where_it_does_not_the_champion_is_shut_down_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = Alive(monkeypatch)
    with double_server(tmp_path, lambda _: FULL) as (server, double, base_id):
        staged = server.load("it1")
        assert (staged.state, len(double.llms)) == (pb.CHECKPOINT_STATE_STAGED, 1)
        assert "MB of GPU memory, and 512 MB must stay free" in staged.reason
        assert "2048 MB are available" in staged.reason
        server.set_split("it1")
        assert server.rewrite("pho").rewrites[0].text == "pho it1"
        assert server.load(base_id).state == pb.CHECKPOINT_STATE_STAGED
        server.set_split(base_id)
        assert server.rewrite("pho").rewrites[0].text == "pho base"
    assert alive.beside == [0, 0, 0]


def test_memory_that_nobody_tells_of_is_room_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = Alive(monkeypatch)
    with double_server(tmp_path, lambda _: None) as (server, _double, _base_id):
        staged = server.load("it1")
        assert staged.reason.startswith("how much GPU memory is free cannot be read")
        server.split("it1")
        assert server.rewrite("pho").checkpoint_id == "it1"
    assert alive.beside == [0, 0]


def test_a_champion_that_must_not_be_shut_down_is_not(tmp_path: Path) -> None:
    settings = {"checkpoints": {"swap": "beside"}}
    with double_server(tmp_path, lambda _: FULL, settings) as (server, double, base_id):
        refused = server.load("it1")
        assert refused.state == pb.CHECKPOINT_STATE_FAILED
        assert "needs about" in refused.reason
        assert failure_of(lambda: server.set_split("it1")).code is grpc.StatusCode.FAILED_PRECONDITION
        assert server.rewrite("pho").checkpoint_id == base_id
        assert len(double.llms) == 1


def test_a_model_without_calls_goes_before_the_champion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With it gone there is room for two, and no call waits."""
    alive = Alive(monkeypatch)
    with double_server(tmp_path, lambda models: ROOMY if models < 2 else FULL) as (server, double, _base_id):
        assert server.load("it1").state == pb.CHECKPOINT_STATE_LOADED
        assert server.load("it2").state == pb.CHECKPOINT_STATE_STAGED
        server.set_split("it2")
        assert server.rewrite("pho").checkpoint_id == "it2"
        server.wait_until(lambda: [llm.is_shut_down for llm in double.llms] == [True, True, False])
        assert server.running.metric("iterqr_checkpoint_swaps_total") == 1
        assert not server.running.metric("iterqr_checkpoint_reloads_total", result="replaced")
    assert alive.beside == [0, 1, 1]


def test_one_that_does_not_fit_after_all_gives_its_place_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = Alive(monkeypatch, fails_for="it1")
    with double_server(tmp_path, lambda _: FULL) as (server, double, base_id), load_on(server) as load:
        server.load("it1")
        failure = failure_of(lambda: server.set_split("it1"))
        assert failure.code is grpc.StatusCode.FAILED_PRECONDITION
        assert failure.details == "it1 was refused: the model could not be loaded: CUDA out of memory"
        load.go_on(10)
        assert server.state().traffic_split.champion_checkpoint_id == base_id
        assert [llm.is_shut_down for llm in double.llms] == [True, False]
    assert load.failures == []
    assert set(load.answered_by()) == {base_id}
    assert alive.beside == [0, 0, 0]


def test_the_quantized_artifact_is_taken_and_alone_fetched(tmp_path: Path) -> None:
    with double_server(tmp_path, lambda _: ROOMY) as (server, double, _base_id):
        quantized = write_checkpoint(tmp_path / "quantized", FP8)
        folders = {"hf": double.checkpoint, "trtllm": quantized}
        manifest = server.registry.manifest("it1")
        source = checkpoint_folder(
            tmp_path,
            "both",
            {f"hf/{path.name}": path.read_bytes() for path in sorted(folders["hf"].iterdir())},
            kind="hf-safetensors",
            base_model=manifest["base_model"],
        )
        other = checkpoint_folder(
            tmp_path / "other",
            "both",
            {f"trtllm/{path.name}": path.read_bytes() for path in sorted(quantized.iterdir())},
            kind="trtllm",
        )
        shutil.copytree(other / "trtllm", source / "trtllm")
        document = json.loads((source / "manifest.json").read_text("utf-8"))
        document["artifacts"] += json.loads((other / "manifest.json").read_text("utf-8"))["artifacts"]
        (source / "manifest.json").write_text(json.dumps(document), "utf-8")
        server.registry.publish(source)
        loaded = server.load("both")
        assert loaded.state == pb.CHECKPOINT_STATE_LOADED, loaded.reason
        assert Path(double.llm.args.model) == tmp_path / "cache/both/trtllm"
        assert not (tmp_path / "cache/both/hf").exists()


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """A checkpoint as export writes it: of a base that is another file than its own weights."""
    folder = write_checkpoint(tmp_path / "written")
    files = {f"hf/{path.name}": path.read_bytes() for path in sorted(folder.iterdir())}
    base = {"name": "base.gguf", "sha256": "c" * 64}
    return checkpoint_folder(tmp_path, "exported", files, kind="hf-safetensors", base_model=base)


def test_an_exported_folder_stands_for_the_base_of_its_manifest(exported: Path, tmp_path: Path) -> None:
    assert base_digest(exported / "hf") == "c" * 64
    alone = shutil.copytree(exported / "hf", tmp_path / "alone" / "hf")
    assert base_digest(alone) not in ("c" * 64, "")
    assert base_digest(alone) == base_digest(shutil.copytree(alone, tmp_path / "elsewhere" / "same"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda hf: (hf / "model.safetensors").write_bytes(b"others"), "hf/model.safetensors: "),
        (lambda hf: (hf / "model.safetensors").rename(hf / "renamed.safetensors"), "hf/model.safetensors: missing"),
        (
            lambda hf: shutil.copyfile(hf / "model.safetensors", hf / "more.safetensors"),
            "does not list hf/more.safetensors",
        ),
        (lambda hf: (hf.parent / "manifest.json").write_text("{}", "utf-8"), "is a required property"),
    ],
    ids=["altered", "renamed", "more", "no manifest"],
)
def test_a_folder_that_is_not_its_manifests_stands_for_nothing(
    exported: Path, change: Callable[[Path], object], reason: str
) -> None:
    change(exported / "hf")
    with pytest.raises(UnsupportedModelError, match=reason):
        base_digest(exported / "hf")


def test_the_fullest_gpu_counts(tmp_path: Path) -> None:
    gpus = tuple(Gpu(name, (9, 0), 80 << 30, name) for name in "abc")

    def available(free: Mapping[str, int | None], used: int) -> int | None:
        settings = settings_for_double(tensorrt_llm={"tensor_parallel_size": used})
        engines = TensorRtLlmCheckpointEngines(
            lambda _: pytest.fail("not asked to"), lambda: tmp_path, settings, lambda: gpus, lambda gpu: free[gpu.name]
        )
        return engines.available_bytes()

    assert available({"a": 7, "b": 5, "c": 3}, 2) == 5
    assert available({"a": 7, "b": None, "c": 3}, 2) is None
    assert available({"a": 7, "b": None, "c": 3}, 1) == 7


def test_what_a_second_model_needs() -> None:
    """Weights, library and steps, and a cache of every request's full length in the share that it gets."""

    def needed(weights: int = 0, *, fp8: bool = False, **fields: Any) -> int:  # noqa: ANN401
        settings = settings_for_double(engine={"max_running": 4}, tensorrt_llm={"max_seq_len": 1024, **fields})
        return second_model_bytes(SHAPES, weights, settings.engine, settings.tensorrt_llm, has_fp8_cache=fp8)

    of_token = 2 * 2 * 2 * 16 * 2  # keys and values, layers, heads, head size, bfloat16
    work = (2 << 30) + 4096 * (2 * 128 + 4 * 64) * 2 + 4 * (1 + 3) * 262 * 4
    assert needed(kv_memory_fraction=0.5) == work + 2 * of_token * 4 * 1024
    assert needed(1000, kv_memory_fraction=0.5) - needed(kv_memory_fraction=0.5) == 1000
    assert needed(kv_memory_fraction=0.5, fp8=True) == work + of_token * 4 * 1024
    assert needed(kv_memory_fraction=0.5, kv_max_tokens=2048) == work + 2 * of_token * 2048
    assert needed(kv_memory_fraction=0.5, kv_max_tokens=1 << 20) == needed(kv_memory_fraction=0.5)
    assert needed(1000, kv_memory_fraction=0.5, tensor_parallel_size=2) == work + of_token * 4 * 1024 + 500


def test_a_configured_server_swaps_them(tmp_path: Path) -> None:
    settings = settings_for_double(checkpoints={"registry": str(tmp_path)})
    engines = checkpoint_engines(settings, lambda: tmp_path)
    assert isinstance(engines, TensorRtLlmCheckpointEngines)
    assert list(engines.kinds) == ["trtllm", "hf-safetensors"]
    assert checkpoint_engines(settings_for_double(), lambda: tmp_path) is None


def test_weights_that_no_gpu_holds_are_refused_before_the_champion_goes(tmp_path: Path) -> None:
    small = Gpu("tiny", (9, 0), 10)
    with double_server(tmp_path, lambda _: FULL) as (server, double, base_id):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("iterqr_server.backends.tensorrt_llm.find_gpus", lambda: (small,))
            refused = server.load("it1")
        assert refused.state == pb.CHECKPOINT_STATE_FAILED
        assert "its weights are 0 MB on 1 GPU(s); tiny has 0 MB" in refused.reason
        assert server.rewrite("pho").checkpoint_id == base_id
        assert len(double.llms) == 1
