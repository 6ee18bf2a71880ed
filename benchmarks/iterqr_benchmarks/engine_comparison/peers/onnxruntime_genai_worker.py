"""ONNX Runtime GenAI: one generator, rewound to the beginning that its last prompt shares with the next one.

Its `Generator` runs one request, or a batch that begins and ends together; so requests run one after another whatever
the concurrency.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime_genai as genai
from tokenizers import Tokenizer

from iterqr_benchmarks.engine_comparison.peers.worker import (
    LineStop,
    WorkerAnswer,
    WorkerPrompt,
    events_descriptor,
    serve,
    versions,
)

_MAX_LENGTH = 4_096


class OnnxRuntimeGenAiEngine:
    """See `PeerEngine`."""

    def __init__(self, model: Path, tokenizer: Path, threads: int) -> None:
        config = genai.Config(str(model))
        options = {"intra_op_num_threads": threads, "inter_op_num_threads": 1}
        config.overlay(json.dumps({"model": {"decoder": {"session_options": options}}}))
        self._model = genai.Model(config)
        parameters = genai.GeneratorParams(self._model)
        parameters.set_search_options(max_length=_MAX_LENGTH, do_sample=False, batch_size=1)
        self._generator = genai.Generator(self._model, parameters)
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._end = self._tokenizer.token_to_id("<|im_end|>")
        self._held: list[int] = []

    def run(
        self, prompts: list[WorkerPrompt], *, concurrency: int, max_rewrites: int, max_new_tokens: int
    ) -> list[WorkerAnswer]:
        """See `PeerEngine`. Prompts wait for each other; their latency counts from when they would be submitted."""
        answers: list[WorkerAnswer] = []
        began = time.perf_counter()
        ended: list[float] = []
        stop = LineStop(max_rewrites)
        for number, prompt in enumerate(prompts):
            submitted = began if number < concurrency else ended[number - concurrency]
            text, tokens, first = self._generate(prompt.text, stop, max_new_tokens)
            ended.append(time.perf_counter())
            answers.append(WorkerAnswer(prompt.id, text, tokens, ended[-1] - submitted, first - submitted))
        return answers

    def _generate(self, prompt: str, stop: LineStop, max_new_tokens: int) -> tuple[str, int, float]:
        """Returns the text, the number of tokens, and when the first was there."""
        tokens: list[int] = self._tokenizer.encode(prompt, add_special_tokens=False).ids
        kept = 0
        while kept < min(len(tokens) - 1, len(self._held)) and tokens[kept] == self._held[kept]:
            kept += 1
        if self._held:
            self._generator.rewind_to(kept)
        self._generator.append_tokens(np.array(tokens[kept:], np.int32))
        ids: list[int] = []
        text, first = "", 0.0
        while len(ids) < max_new_tokens:
            self._generator.generate_next_token()
            token = int(self._generator.get_next_tokens()[0])
            first = first or time.perf_counter()
            ids.append(token)
            if token == self._end:
                break
            if "\n" in self._tokenizer.decode([token]) and stop.is_over(self._tokenizer.decode(ids)):
                break
        self._held = tokens + ids[:-1]  # the last token was never computed with
        text = self._tokenizer.decode(ids)  # leaves the end of turn out
        return text, len(ids), first


def main() -> None:
    """Entry point of the process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True, help="folder")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json")
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    out = events_descriptor()
    about = {
        "engine": "onnxruntime-genai",
        "model": options.model.name,
        "versions": versions("onnxruntime-genai", "onnxruntime"),
        "settings": {"threads": options.threads, "prefix_caching": True, "max_length": _MAX_LENGTH},
    }
    serve(OnnxRuntimeGenAiEngine(options.model, options.tokenizer, options.threads), about, sys.stdin, out)


if __name__ == "__main__":
    main()
