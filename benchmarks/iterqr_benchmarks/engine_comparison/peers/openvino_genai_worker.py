"""OpenVINO GenAI: its continuous batching pipeline with prefix caching, on a GGUF file of Q4_0 tensors."""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openvino_genai as genai

from iterqr_benchmarks.engine_comparison.peers.worker import (
    LineStop,
    WorkerAnswer,
    WorkerPrompt,
    events_descriptor,
    serve,
    versions,
)

_CACHE_GIB = 1
_MAX_BATCHED_TOKENS = 256


@dataclass(slots=True)
class _Running:
    number: int
    prompt: WorkerPrompt
    handle: Any
    began: float
    first_s: float = 0.0
    ids: list[int] = field(default_factory=list)


class OpenVinoEngine:
    """See `PeerEngine`."""

    def __init__(self, model: Path, threads: int) -> None:
        scheduler = genai.SchedulerConfig()
        scheduler.enable_prefix_caching = True
        scheduler.cache_size = _CACHE_GIB
        scheduler.max_num_batched_tokens = _MAX_BATCHED_TOKENS
        self._pipeline = genai.ContinuousBatchingPipeline(
            str(model), scheduler, "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
        )
        self._tokenizer = self._pipeline.get_tokenizer()
        self._has_line_break: dict[int, bool] = {}
        self._requests = 0

    def run(
        self, prompts: list[WorkerPrompt], *, concurrency: int, max_rewrites: int, max_new_tokens: int
    ) -> list[WorkerAnswer]:
        """See `PeerEngine`."""
        waiting = deque(enumerate(prompts))
        running: list[_Running] = []
        answers: dict[int, WorkerAnswer] = {}
        stop = LineStop(max_rewrites)
        while waiting or running:
            while waiting and len(running) < concurrency:
                running.append(self._submit(*waiting.popleft(), max_new_tokens))
            self._pipeline.step()
            for request in list(running):
                if self._is_over(request, stop, max_new_tokens):
                    answers[request.number] = self._answer(request)
                    running.remove(request)
        return [answers[number] for number in sorted(answers)]

    def _submit(self, number: int, prompt: WorkerPrompt, max_new_tokens: int) -> _Running:
        config = genai.GenerationConfig()
        config.max_new_tokens = max_new_tokens
        config.do_sample = False
        config.apply_chat_template = False
        began = time.perf_counter()
        self._requests += 1
        ids = self._tokenizer.encode(prompt.text, add_special_tokens=False).input_ids
        return _Running(number, prompt, self._pipeline.add_request(self._requests, ids, config), began)

    def _is_over(self, request: _Running, stop: LineStop, max_new_tokens: int) -> bool:
        ended_a_line = False
        while request.handle.can_read():
            for output in request.handle.read().values():
                request.first_s = request.first_s or time.perf_counter() - request.began
                request.ids.extend(output.generated_ids)
                ended_a_line = ended_a_line or any(map(self._breaks_line, output.generated_ids))
        if ended_a_line and stop.is_over(self._decode(request.ids)):
            request.handle.stop()
            return True
        return request.handle.get_status() != genai.GenerationStatus.RUNNING or len(request.ids) >= max_new_tokens

    def _breaks_line(self, token: int) -> bool:
        if token not in self._has_line_break:
            self._has_line_break[token] = "\n" in self._decode([token])
        return self._has_line_break[token]

    def _decode(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids)
        return text

    def _answer(self, request: _Running) -> WorkerAnswer:
        latency_s = time.perf_counter() - request.began
        text = self._decode(request.ids)
        return WorkerAnswer(request.prompt.id, text, len(request.ids), latency_s, request.first_s)


def main() -> None:
    """Entry point of the process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    out = events_descriptor()
    about = {
        "engine": "openvino-genai",
        "model": options.model.name,
        "versions": versions("openvino-genai", "openvino"),
        "settings": {
            "threads": options.threads,
            "prefix_caching": True,
            "cache_size_gib": _CACHE_GIB,
            "max_num_batched_tokens": _MAX_BATCHED_TOKENS,
        },
    }
    serve(OpenVinoEngine(options.model, options.threads), about, sys.stdin, out)


if __name__ == "__main__":
    main()
