"""vLLM: its asynchronous engine with prefix caching, on a Hugging Face folder. Needs a GPU; not run by its writers.

Written from `vllm/v1/engine/async_llm.py`: `generate` yields cumulative outputs, and closing it aborts the request.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.v1.engine.async_llm import AsyncLLM

from iterqr_benchmarks.engine_comparison.peers.worker import (
    LineStop,
    WorkerAnswer,
    WorkerPrompt,
    events_descriptor,
    serve,
    versions,
)

_MAX_LENGTH = 4_096
_MEMORY_SHARE = 0.85


class VllmEngine:
    """See `PeerEngine`. Its event loop lives as long as it does, as the library's reader runs in it."""

    def __init__(self, model: Path) -> None:
        self._runner = asyncio.Runner()
        self._numbers = itertools.count()
        self._engine: Any = self._runner.run(self._load(model))

    @staticmethod
    async def _load(model: Path) -> Any:  # noqa: ANN401 - an untyped library
        return AsyncLLM.from_engine_args(
            AsyncEngineArgs(
                model=str(model),
                max_model_len=_MAX_LENGTH,
                gpu_memory_utilization=_MEMORY_SHARE,
                enable_prefix_caching=True,
                disable_log_stats=True,
            )
        )

    def run(
        self, prompts: list[WorkerPrompt], *, concurrency: int, max_rewrites: int, max_new_tokens: int
    ) -> list[WorkerAnswer]:
        """See `PeerEngine`."""
        return self._runner.run(self._run(prompts, concurrency, LineStop(max_rewrites), max_new_tokens))

    async def _run(
        self, prompts: list[WorkerPrompt], concurrency: int, stop: LineStop, max_new_tokens: int
    ) -> list[WorkerAnswer]:
        waiting = iter(enumerate(prompts))
        answers: dict[int, WorkerAnswer] = {}

        async def work() -> None:
            for number, prompt in waiting:
                answers[number] = await self._answer(prompt, stop, max_new_tokens)

        async with asyncio.TaskGroup() as workers:
            for _ in range(min(concurrency, len(prompts))):
                workers.create_task(work())
        return [answers[number] for number in sorted(answers)]

    async def _answer(self, prompt: WorkerPrompt, stop: LineStop, max_new_tokens: int) -> WorkerAnswer:
        began = time.perf_counter()
        first_s, text, tokens = 0.0, "", 0
        parameters = SamplingParams(temperature=0.0, max_tokens=max_new_tokens)
        async with aclosing(self._engine.generate(prompt.text, parameters, f"prompt-{next(self._numbers)}")) as outputs:
            async for output in outputs:
                first_s = first_s or time.perf_counter() - began
                text, tokens = output.outputs[0].text, len(output.outputs[0].token_ids)
                if stop.is_over(text):
                    break
        return WorkerAnswer(prompt.id, text, tokens, time.perf_counter() - began, first_s)

    def close(self) -> None:
        """Ends the library's processes."""
        self._engine.shutdown()
        self._runner.close()


def main() -> None:
    """Entry point of the process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True, help="folder")
    options = parser.parse_args()
    out = events_descriptor()
    about = {
        "engine": "vllm",
        "model": options.model.name,
        "versions": versions("vllm", "torch"),
        "settings": {"prefix_caching": True, "max_model_len": _MAX_LENGTH, "gpu_memory_utilization": _MEMORY_SHARE},
    }
    engine = VllmEngine(options.model)
    try:
        serve(engine, about, sys.stdin, out)
    finally:
        engine.close()


if __name__ == "__main__":
    main()
