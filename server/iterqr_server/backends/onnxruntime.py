"""Runs packed steps on ONNX Runtime. The only file that imports it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from iterqr_server.engine.continuous_batching import ContinuousBatchingEngine
from iterqr_server.engine.executor import PackedStep
from iterqr_server.engine.guide import RegexGuides
from iterqr_server.engine.interface import GenerationEngine
from iterqr_server.engine.settings import EngineSettings
from iterqr_server.engine.tokenizer import BytePairTokenizer
from iterqr_server.models.built_model import BuiltModel, read_built_model

LOGIT_ROWS_MULTIPLE = 2  # as with the rows of a step (`PackedStep`)
_STEP_INPUTS = ("token_ids", "positions", "slots", "group_rows", "row_places", "group_slots", "mask")


class OnnxStepExecutor:
    """A `StepExecutor` for a built model on the CPU.

    The arena is one array [positions, kv_size] for each layer's keys and one for its values. Each is bound as input
    and as output of the graph at once: its scatter then writes the new rows in place, and the arena is never copied.
    """

    def __init__(self, model: BuiltModel, *, arena_positions: int, threads: int) -> None:
        shapes = model.architecture
        self.arena_positions = arena_positions
        self.max_positions = shapes.context
        self._session: ort.InferenceSession | None = _open_session(model.graph_path, threads)
        self._arena = {
            f"{part}.{layer}": ort.OrtValue.ortvalue_from_numpy(np.zeros((arena_positions, shapes.kv_size), np.float32))
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


def _open_session(path: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or _usable_cores()
    options.inter_op_num_threads = 1
    # Waiting threads sleep instead of spinning: as fast on an idle machine, twice as fast beside a busy search node.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_mem_pattern = False  # shapes change at every step
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _usable_cores() -> int:
    """Cores this process may use, where the system tells; else those there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def create_engine(model_folder: Path, settings: EngineSettings) -> GenerationEngine:
    """Returns an engine, not started yet, for a folder that `iterqr_server.models.builder` wrote.

    Raises:
        BuiltModelError: the folder is not a built model.
    """
    model = read_built_model(model_folder)

    def open_executor() -> OnnxStepExecutor:
        return OnnxStepExecutor(model, arena_positions=settings.arena_positions, threads=settings.threads)

    tokenizer_json = model.tokenizer_path.read_text("utf-8")
    tokenizer = BytePairTokenizer(tokenizer_json)
    guides = RegexGuides(tokenizer_json, vocabulary=model.architecture.vocabulary, stop_id=tokenizer.end_of_turn_id)
    return ContinuousBatchingEngine(
        model_id=model.model_id, tokenizer=tokenizer, open_executor=open_executor, settings=settings, guides=guides
    )
