"""Runs packed steps on ONNX Runtime. The only file that imports it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from iterqr_server.config import ConfigError
from iterqr_server.engine.continuous_batching import ContinuousBatchingEngine
from iterqr_server.engine.executor import PackedStep
from iterqr_server.engine.interface import GenerationEngine
from iterqr_server.engine.regex_guides import RegexGuides
from iterqr_server.engine.settings import EngineSettings
from iterqr_server.engine.tokenizer import BytePairTokenizer
from iterqr_server.models.built_model import BuiltModel, read_built_model

LOGIT_ROWS_MULTIPLE = 2  # as with the rows of a step (`PackedStep`)
_SPIN_US = "20"
_CUDA = "CUDAExecutionProvider"
_STEP_INPUTS = ("token_ids", "positions", "slots", "group_rows", "row_places", "group_slots", "mask")


@dataclass(frozen=True, slots=True)
class Device:
    """What computes: the CPU, or the CUDA device `device_id` with up to `memory_mb` (0: all it has) for the model."""

    provider: Literal["cpu", "cuda"] = "cpu"
    device_id: int = 0
    memory_mb: int = 0


CPU = Device()


class OnnxStepExecutor:
    """A `StepExecutor` for a built model.

    The arena is one array [positions, kv_size] for each layer's keys and one for its values, on the device. Each is
    bound as input and as output of the graph at once: its scatter then writes the new rows in place, and the arena is
    never copied. Of a step, only its arrays go to the device and only the logits come back.
    """

    def __init__(self, model: BuiltModel, *, arena_positions: int, threads: int, device: Device = CPU) -> None:
        shapes = model.architecture
        self.arena_positions = arena_positions
        self.max_positions = shapes.context
        self.output_ids = model.output_ids()
        self._session: ort.InferenceSession | None = _open_session(model.graph_path, threads, device)
        size = (arena_positions, shapes.kv_size)  # each part has an array of its own: on the CPU it is not copied
        self._arena = {
            f"{part}.{layer}": ort.OrtValue.ortvalue_from_numpy(
                np.zeros(size, np.float32), device.provider, device.device_id
            )
            for layer in range(shapes.layers)
            for part in ("key", "value")
        }

    def run(self, step: PackedStep) -> NDArray[np.float32]:
        """See `StepExecutor`."""
        if self._session is None:
            raise RuntimeError("the executor is closed")
        wanted = step.logit_rows.size
        binding = self._session.io_binding()
        for name in _STEP_INPUTS:
            binding.bind_cpu_input(name, getattr(step, name))
        copies = -wanted % LOGIT_ROWS_MULTIPLE
        binding.bind_cpu_input(
            "logit_rows", np.pad(step.logit_rows, (0, copies), mode="edge") if copies else step.logit_rows
        )
        binding.bind_output("logits")
        for part, arena in self._arena.items():
            binding.bind_ortvalue_input(f"arena_{part}", arena)
            binding.bind_ortvalue_output(f"written_{part}", arena)
        self._session.run_with_iobinding(binding)
        logits: NDArray[np.float32] = binding.get_outputs()[0].numpy()
        return logits[:wanted]

    def close(self) -> None:
        """See `StepExecutor`."""
        self._session = None
        self._arena = {}


def check_provider(provider: Literal["cpu", "cuda"]) -> None:
    """Raises ConfigError if the installed ONNX Runtime lacks the provider."""
    if provider == "cuda" and _CUDA not in ort.get_available_providers():
        raise ConfigError(
            "engine.provider: the installed ONNX Runtime has no CUDA; replace it: "
            "pip uninstall -y onnxruntime && pip install onnxruntime-gpu"
        )


def _open_session(path: Path, threads: int, device: Device) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or _usable_cores()
    options.inter_op_num_threads = 1
    # Waiting threads spin only as long as a small operator takes, then sleep: longer, and a busy search node beside
    # them makes steps twice as slow.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.intra_op.spin_duration_us", _SPIN_US)
    if not _has_vnni():  # sums of unsigned times signed bytes would saturate: slower products, but exact ones
        options.add_session_config_entry("session.x64quantprecision", "1")
    options.enable_mem_pattern = False  # shapes change at every step
    providers: list[str | tuple[str, dict[str, str]]] = ["CPUExecutionProvider"]
    if device.provider == "cuda":
        limit = {"gpu_mem_limit": str(device.memory_mb << 20)} if device.memory_mb else {}
        providers.insert(0, (_CUDA, {"device_id": str(device.device_id), **limit}))
    return ort.InferenceSession(path, options, providers=providers)


def _has_vnni() -> bool:
    """Whether the processor is known to add up products of bytes in 32 bits (AVX-512 VNNI, AVX-VNNI)."""
    flags = Path("/proc/cpuinfo")
    return flags.exists() and any(name in flags.read_text("utf-8") for name in ("avx512_vnni", "avx_vnni"))


def _usable_cores() -> int:
    """Cores this process may use, where the system tells; else those there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def create_engine(model_folder: Path, settings: EngineSettings, device: Device = CPU) -> GenerationEngine:
    """Returns an engine, not started yet, for a folder that `iterqr_server.models.builder` wrote.

    Raises:
        BuiltModelError: the folder is not a built model.
        ConfigError: the installed ONNX Runtime cannot use the device.
    """
    check_provider(device.provider)
    model = read_built_model(model_folder)

    def open_executor() -> OnnxStepExecutor:
        return OnnxStepExecutor(
            model, arena_positions=settings.arena_positions, threads=settings.threads, device=device
        )

    tokenizer, guides = _tokenizer_and_guides(model.tokenizer_path.read_text("utf-8"), model.architecture.vocabulary)
    return ContinuousBatchingEngine(
        model_id=model.model_id, tokenizer=tokenizer, open_executor=open_executor, settings=settings, guides=guides
    )


@lru_cache(maxsize=2)
def _tokenizer_and_guides(tokenizer_json: str, vocabulary: int) -> tuple[BytePairTokenizer, RegexGuides]:
    """Made once for the checkpoints of a base: it takes seconds, and loops over all tokens while calls are served."""
    tokenizer = BytePairTokenizer(tokenizer_json)
    return tokenizer, RegexGuides(tokenizer_json, vocabulary=vocabulary, stop_id=tokenizer.end_of_turn_id)
