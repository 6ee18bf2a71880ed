"""Hosts, settings and checkpoints that TensorRT-LLM does not run: each is told in one sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from iterqr_server.backends import tensorrt_llm
from iterqr_server.backends.iteration_stats import IterationTotals
from iterqr_server.backends.nvidia_gpu import Gpu, find_gpus, free_bytes
from iterqr_server.backends.tensorrt_llm_arguments import check_checkpoint, check_settings
from iterqr_server.config import ConfigError, settings_from
from iterqr_server.main import EXIT_FAILED, EXIT_USAGE, main
from iterqr_server.models.errors import UnsupportedModelError
from iterqr_server.models.hf_checkpoint import prepare_hf_checkpoint, read_hf_checkpoint
from iterqr_server.models.progress import Silent
from support.tensorrt_llm_double.installing import HOPPER, installed_double, settings_for_double, write_checkpoint

AMPERE = Gpu("NVIDIA A100", (8, 0), 80 << 30)
TURING = Gpu("NVIDIA T4", (7, 5), 16 << 30)
FP8 = {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}
AWQ = {"quant_algo": "W4A16_AWQ", "kv_cache_quant_algo": None, "group_size": 128}


@pytest.mark.parametrize("command", [("serve",), ("engine-check",), ("engine", "run")])
def test_a_host_without_package_and_gpu_is_told_what_is_missing(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setattr(tensorrt_llm, "find_gpus", lambda: ())
    monkeypatch.setattr("sys.argv", ["iterqr-server", *command, "--engine.backend", "tensorrt_llm"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == EXIT_USAGE
    assert capsys.readouterr().err == (
        "iterqr-server: engine.backend: tensorrt_llm needs the package tensorrt_llm and an NVIDIA GPU with its driver, "
        "which this host lacks; on a Linux host with a GPU of compute capability 8.0 or later run this server in the "
        "image nvcr.io/nvidia/tensorrt-llm/release:1.2.1 (or pip install tensorrt_llm==1.2.1 --extra-index-url "
        "https://pypi.nvidia.com), or use engine.backend onnxruntime, which needs neither\n"
    )


def test_only_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with installed_double(tmp_path, str, gpus=()), pytest.raises(ConfigError) as caught:
        tensorrt_llm.check_available()
    assert "needs an NVIDIA GPU with its driver, which" in str(caught.value)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setattr(tensorrt_llm, "find_gpus", lambda: (HOPPER,))
    with pytest.raises(ConfigError, match="needs the package tensorrt_llm, which"):
        tensorrt_llm.check_available()


def test_a_host_without_a_driver_has_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iterqr_server.backends.nvidia_gpu._LIBRARY", "libno-such-driver.so")
    assert find_gpus() == ()


def test_gpus_are_read_from_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _name: FakeDriver())
    assert find_gpus() == tuple(Gpu("NVIDIA L4", (8, 9), 24 << 30, bus_id) for bus_id in BUS_IDS)


L4 = Gpu("NVIDIA L4", (8, 9), 24 << 30, "0000:65:00.0")
SLICE = replace(L4, memory_bytes=6 << 30)


@pytest.mark.parametrize(
    ("gpu", "failing", "free"),
    [
        (L4, "", 5 << 30),
        (SLICE, "", None),
        (L4, "nvmlInit_v2", None),
        (L4, "nvmlDeviceGetHandleByPciBusId_v2", None),
        (L4, "nvmlDeviceGetMemoryInfo", None),
        (replace(L4, bus_id=""), "", None),
    ],
)
def test_free_memory_is_read_from_the_driver(
    monkeypatch: pytest.MonkeyPatch, gpu: Gpu, failing: str, free: int | None
) -> None:
    nvml = FakeManagement(failing)
    monkeypatch.setattr("ctypes.CDLL", lambda _name: nvml)
    assert free_bytes(gpu) == free
    assert nvml.is_open is False


def test_a_host_without_a_driver_tells_no_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iterqr_server.backends.nvidia_gpu._MANAGEMENT_LIBRARY", "libno-such-driver.so")
    assert free_bytes(L4) is None


BUS_IDS = ("0000:65:00.0", "0000:66:00.0")


class FakeManagement:
    """Calls of NVML; one of them may fail."""

    def __init__(self, failing: str) -> None:
        self._failing = failing
        self.is_open = False

    def _code(self, name: str) -> int:
        return 999 if name == self._failing else 0

    def nvmlInit_v2(self) -> int:  # noqa: N802 - the library's names
        self.is_open = self._code("nvmlInit_v2") == 0
        return self._code("nvmlInit_v2")

    def nvmlShutdown(self) -> int:  # noqa: N802
        self.is_open = False
        return 0

    def nvmlDeviceGetHandleByPciBusId_v2(self, bus_id: bytes, handle: Any) -> int:  # noqa: ANN401, N802
        handle._obj.value = 7
        return self._code("nvmlDeviceGetHandleByPciBusId_v2") if bus_id == b"0000:65:00.0" else 6

    def nvmlDeviceGetMemoryInfo(self, handle: Any, memory: Any) -> int:  # noqa: ANN401, N802
        assert handle.value == 7
        memory._obj.total, memory._obj.free = (24 << 30) + (200 << 20), 5 << 30
        return self._code("nvmlDeviceGetMemoryInfo")


class FakeDriver:
    """Calls of libcuda, which write their results where their first arguments point."""

    def cuInit(self, _flags: int) -> int:  # noqa: N802 - the driver's names
        return 0

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: ANN401, N802
        count._obj.value = 2
        return 0

    def cuDeviceGet(self, device: Any, number: int) -> int:  # noqa: ANN401, N802
        device._obj.value = number
        return 0

    def cuDeviceGetName(self, name: Any, _size: int, _device: Any) -> int:  # noqa: ANN401, N802
        name.value = b"NVIDIA L4"
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, _device: Any) -> int:  # noqa: ANN401, N802
        value._obj.value = {75: 8, 76: 9}[attribute]
        return 0

    def cuDeviceGetPCIBusId(self, bus_id: Any, _size: int, device: Any) -> int:  # noqa: ANN401, N802
        bus_id.value = BUS_IDS[device.value].encode()
        return 0

    def cuDeviceTotalMem_v2(self, memory: Any, _device: Any) -> int:  # noqa: ANN401, N802
        memory._obj.value = 24 << 30
        return 0


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"engine": {"max_running": 512}, "tensorrt_llm": {"max_num_tokens": 2047}},
            (
                "tensorrt_llm.max_num_tokens: must be at least engine.max_running x (1 + tensorrt_llm.max_draft_len), "
                "2048, got 2047"
            ),
        ),
        (
            {"rewrite": {"max_new_tokens": 256}, "tensorrt_llm": {"max_seq_len": 256}},
            "tensorrt_llm.max_seq_len: must be more than rewrite.max_new_tokens (256), got 256",
        ),
        (
            {"tensorrt_llm": {"max_seq_len": 2048, "kv_max_tokens": 2047}},
            "tensorrt_llm.kv_max_tokens: must be 0 or at least tensorrt_llm.max_seq_len (2048), got 2047",
        ),
        (
            {"model": {"output_vocabulary": "latin"}},
            "model.output_vocabulary: must be full with engine.backend tensorrt_llm",
        ),
        (
            {"engine": {"device_id": 1}},
            (
                "engine.device_id: must be 0 with engine.backend tensorrt_llm, which takes the GPUs that "
                "CUDA_VISIBLE_DEVICES names"
            ),
        ),
    ],
)
def test_settings_that_do_not_fit_together(sections: dict[str, dict[str, Any]], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        check_settings(settings_for_double(**sections))


def test_the_defaults_fit_together() -> None:
    check_settings(settings_from({"engine": {"backend": "tensorrt_llm"}}))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("tokens_per_block", 48, "tensorrt_llm.tokens_per_block: should be 32, 64 or 128, got 48"),
        ("kv_memory_fraction", 1.0, "tensorrt_llm.kv_memory_fraction: should be less than or equal to 0.95, got 1.0"),
        ("draft_ngram_size", 0, "tensorrt_llm.draft_ngram_size: should be greater than or equal to 1, got 0"),
        ("kv_cache_dtype", "int8", "tensorrt_llm.kv_cache_dtype: should be 'auto' or 'fp8', got 'int8'"),
        ("backend", "pytorch", "tensorrt_llm.backend: unknown key"),
    ],
)
def test_fields_have_limits(field: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_from({"tensorrt_llm": {field: value}})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("quantization", "gpu", "config", "message"),
    [
        (None, TURING, {}, "its weights need a GPU of compute capability 8.0; NVIDIA T4 has 7.5"),
        (FP8, AMPERE, {}, "FP8 weights or key/value cache need a GPU of compute capability 8.9; NVIDIA A100 has 8.0"),
        (AWQ, AMPERE, {"kv_cache_dtype": "fp8"}, "FP8 weights or key/value cache need"),
        ({"quant_algo": "W4A8_AWQ"}, AMPERE, {}, "FP8 weights or key/value cache need"),
        (
            None,
            HOPPER,
            {"max_seq_len": 65536},
            "tensorrt_llm.max_seq_len: must be at most the model's 32768, got 65536",
        ),
        (None, HOPPER, {"tensor_parallel_size": 2}, "must be at most the number of GPUs (1), got 2"),
    ],
)
def test_a_checkpoint_that_this_gpu_does_not_run(
    tmp_path: Path, quantization: Mapping[str, Any] | None, gpu: Gpu, config: dict[str, Any], message: str
) -> None:
    checkpoint = read_hf_checkpoint(write_checkpoint(tmp_path / "c", quantization), Silent())
    with pytest.raises(UnsupportedModelError, match=re.escape(message)):
        check_checkpoint(checkpoint, settings_for_double(tensorrt_llm=config).tensorrt_llm, (gpu,))


@pytest.mark.parametrize(("quantization", "gpu"), [(None, AMPERE), (AWQ, AMPERE), (AWQ, HOPPER), (FP8, HOPPER)])
def test_a_checkpoint_that_it_runs(tmp_path: Path, quantization: Mapping[str, Any] | None, gpu: Gpu) -> None:
    checkpoint = read_hf_checkpoint(write_checkpoint(tmp_path / "c", quantization), Silent())
    check_checkpoint(checkpoint, settings_for_double().tensorrt_llm, (gpu,))


def test_the_name_changes_with_every_file_that_outputs_depend_on(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "dishes v1")
    names = [read_hf_checkpoint(folder, Silent()).name]
    assert re.fullmatch(r"dishes-v1-[0-9a-f]{12}", names[0])
    write_checkpoint(folder, AWQ)
    names.append(read_hf_checkpoint(folder, Silent()).name)
    for file in ("config.json", "tokenizer.json", "model.safetensors"):
        (folder / file).write_bytes((folder / file).read_bytes() + b" ")
        names.append(read_hf_checkpoint(folder, Silent()).name)
    (folder / "README.md").write_text("a model")
    assert len(set(names)) == 5
    assert read_hf_checkpoint(folder, Silent()).name == names[-1]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("config.json", None, "config.json is missing"),
        ("tokenizer.json", None, "tokenizer.json is missing"),
        ("model.safetensors", None, "has no .safetensors file"),
        ("adapter_config.json", "{}", "holds an adapter alone; merge it into its base model first"),
        ("config.json", "[]", "must be a JSON object"),
        ("config.json", "{", "is not readable JSON"),
        ("config.json", '{"architectures": ["LlamaForCausalLM"]}', "must be ['Qwen2ForCausalLM'], got ['LlamaFor"),
        ("config.json", '{"architectures": ["Qwen2ForCausalLM"]}', "max_position_embeddings: must be a positive"),
        ("hf_quant_config.json", "{}", "quantization: must be an object, got None"),
        ("hf_quant_config.json", '{"quantization": {}}', "must be one of FP8, W4A16_AWQ, W4A8_AWQ, got None"),
        (
            "hf_quant_config.json",
            json.dumps({"quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": "INT8"}}),
            "quantization.kv_cache_quant_algo: must be null or FP8, got 'INT8'",
        ),
    ],
)
def test_a_folder_that_is_no_checkpoint(tmp_path: Path, file: str, text: str | None, message: str) -> None:
    folder = write_checkpoint(tmp_path / "c")
    if text is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(text)
    with pytest.raises(UnsupportedModelError, match=re.escape(message)):
        read_hf_checkpoint(folder, Silent())


def test_a_gguf_file_is_refused_before_it_is_downloaded(tmp_path: Path) -> None:
    for name in ("qwen2.5-coder-0.5b-instruct", str(tmp_path / "model.gguf")):
        (tmp_path / "model.gguf").touch()
        with pytest.raises(UnsupportedModelError, match="is a GGUF file, which tensorrt_llm does not load"):
            prepare_hf_checkpoint(name, Silent())
    assert prepare_hf_checkpoint(str(write_checkpoint(tmp_path / "c")), Silent()) == tmp_path / "c"


def test_serving_a_gguf_file_stops_with_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["engine-check", "--engine", "tensorrt_llm"]
    monkeypatch.setattr("sys.argv", ["iterqr-server", *arguments])
    with installed_double(tmp_path, str), pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == EXIT_FAILED
    assert capsys.readouterr().err.startswith("iterqr-server: model.name: 'qwen2.5-coder-0.5b-instruct' is a GGUF file")


def test_iterations_add_up_whatever_the_section_of_guesses_is_called() -> None:
    totals = IterationTotals(max_draft_len=3)
    totals.request_ended(tokens=10, steps=4)
    (guessed,) = totals.stats().drafts
    assert (guessed.proposed, guessed.accepted) == (12, 6)  # until the library tells
    cache = {"maxNumBlocks": 100, "usedNumBlocks": 7, "tokensPerBlock": 32}
    for _ in range(2):
        totals.iteration(
            {"iterLatencyMS": 5.0, "kvCacheStats": cache, "spec": {"numDraftTokens": 6, "numAcceptedTokens": 2}}
        )
    totals.iteration({"iter": 3})
    stats = totals.stats()
    assert stats.steps_total == 3
    assert stats.step_seconds_total == pytest.approx(0.01)
    assert (stats.kv_positions_used, stats.kv_positions_limit) == (224, 3200)
    assert (stats.drafts[0].proposed, stats.drafts[0].accepted) == (12, 4)
    assert IterationTotals(max_draft_len=0).stats().drafts == ()
