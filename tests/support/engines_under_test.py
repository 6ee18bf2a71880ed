"""The engines that `EngineConformance` is run against, started."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
from iterqr_server.backends import onnxruntime, tensorrt_llm
from iterqr_server.engine.admission import AdmissionPolicy
from iterqr_server.engine.executor import PackedStep
from iterqr_server.engine.interface import GenerationEngine
from iterqr_server.engine.settings import EngineSettings
from numpy.typing import NDArray
from support.engine_conformance import MAX_RUNNING, MAX_WAITING, WARM_UP, EngineUnderTest, StepControl
from support.predictable import predictable_engine, scripted_rewrites
from support.tensorrt_llm_double.installing import installed_double, settings_for_double

BYTES = 1000
"""Most tokens of an output where tokens are bytes."""


def script(prompt: str) -> str:
    """Rewrites of a query, or whether a rewrite is about soup."""
    if "\nrewrite: " in prompt:
        return "Yes" if "\nrewrite: chicken soup" in prompt else "No"
    return scripted_rewrites(prompt)


@asynccontextmanager
async def _started(engine: GenerationEngine) -> AsyncIterator[GenerationEngine]:
    try:
        await engine.start(WARM_UP)
        yield engine
    finally:
        await engine.close()


@asynccontextmanager
async def predictable() -> AsyncIterator[EngineUnderTest]:
    """Our engine over predictable tokens."""
    control = StepControl()
    settings = EngineSettings(
        max_running=MAX_RUNNING,
        max_waiting=MAX_WAITING,
        arena_positions=65_536,
        max_step_rows=4096,
        max_draft_rows=4,
        admission=AdmissionPolicy(always_admitted=100),
    )
    async with _started(predictable_engine(script, settings=settings, before_step=control)) as engine:
        try:
            yield EngineUnderTest(engine, control, keeps_to_guides=False, max_new_tokens=BYTES)
        finally:
            control.gate.open()


@asynccontextmanager
async def onnxruntime_with(model_folder: Path) -> AsyncIterator[EngineUnderTest]:
    """Our engine over ONNX Runtime with a built model."""
    control = StepControl()
    settings = EngineSettings(
        max_running=MAX_RUNNING, max_waiting=MAX_WAITING, admission=AdmissionPolicy(always_admitted=100)
    )
    run = onnxruntime.OnnxStepExecutor.run

    def controlled(self: onnxruntime.OnnxStepExecutor, step: PackedStep) -> NDArray[np.float32]:
        control(step)
        return run(self, step)

    with patch.object(onnxruntime.OnnxStepExecutor, "run", controlled):
        async with _started(onnxruntime.create_engine(model_folder, settings)) as engine:
            try:
                yield EngineUnderTest(engine, control)
            finally:
                control.gate.open()


@asynccontextmanager
async def tensorrt_llm_double(folder: Path) -> AsyncIterator[EngineUnderTest]:
    """The engine for TensorRT-LLM over its double."""
    control = StepControl()
    settings = settings_for_double(engine={"max_running": MAX_RUNNING, "max_waiting": MAX_WAITING})
    with installed_double(folder, script) as double:
        double.behaviour.before_step = control
        async with _started(tensorrt_llm.create_engine(double.checkpoint, settings)) as engine:
            try:
                yield EngineUnderTest(engine, control, max_new_tokens=BYTES)
            finally:
                control.gate.open()
