"""llama.cpp through llama-cpp-python: continuous batching over sequence slots, as its own server does it.

The high-level API of the bindings runs one sequence, so this uses the C functions they expose: one decode call a step
with the new tokens of all running requests, and for a new request the longest beginning that any slot still holds.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import llama_cpp
import numpy as np

from iterqr_benchmarks.engine_comparison.peers.worker import (
    LineStop,
    WorkerAnswer,
    WorkerPrompt,
    events_descriptor,
    serve,
    versions,
)

_SLOTS = 16
_CONTEXT = 16_384
_BATCH = 512
_PIECE_BYTES = 256
_WARNING, _ERROR = 3, 4  # of ggml_log_level


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _log_warnings(level: int, text: bytes, _data: object) -> None:
    if level in (_WARNING, _ERROR):  # all else is written at every step, which costs time
        sys.stderr.write(text.decode("utf-8", errors="replace"))


@dataclass(slots=True)
class _Slot:
    """A sequence of the KV cache. `tokens` are those whose keys and values it holds."""

    number: int
    tokens: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Running:
    number: int
    prompt: WorkerPrompt
    slot: _Slot
    pending: list[int]
    began: float
    first_s: float = 0.0
    ids: list[int] = field(default_factory=list)
    pieces: bytes = b""


class LlamaCppEngine:
    """See `PeerEngine`."""

    def __init__(self, model: Path, threads: int) -> None:
        llama_cpp.llama_log_set(_log_warnings, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self._model = llama_cpp.llama_model_load_from_file(str(model).encode(), llama_cpp.llama_model_default_params())
        if not self._model:
            raise RuntimeError(f"{model}: llama.cpp does not load it")
        self._vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        self._vocabulary_size = llama_cpp.llama_vocab_n_tokens(self._vocabulary)
        options = llama_cpp.llama_context_default_params()
        options.n_ctx, options.n_batch, options.n_ubatch, options.n_seq_max = _CONTEXT, _BATCH, _BATCH, _SLOTS
        options.n_threads = options.n_threads_batch = threads
        options.kv_unified = True  # so that slots share the beginning of a prompt
        self._context = llama_cpp.llama_init_from_model(self._model, options)
        if not self._context:
            raise RuntimeError(f"{model}: llama.cpp cannot make a context of {_CONTEXT} positions")
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._batch = llama_cpp.llama_batch_init(_BATCH, 0, 1)
        self._slots = [_Slot(number) for number in range(_SLOTS)]

    def run(
        self, prompts: list[WorkerPrompt], *, concurrency: int, max_rewrites: int, max_new_tokens: int
    ) -> list[WorkerAnswer]:
        """See `PeerEngine`."""
        waiting = deque(enumerate(prompts))
        running: list[_Running] = []
        answers: dict[int, WorkerAnswer] = {}
        stop = LineStop(max_rewrites)
        while waiting or running:
            while waiting and len(running) < min(concurrency, _SLOTS):
                taken = {request.slot.number for request in running}
                running.append(self._submit(*waiting.popleft(), taken))
            self._step(running)
            for request in list(running):
                if request.ids and not request.pending and self._is_over(request, stop, max_new_tokens):
                    text = request.pieces.decode("utf-8", errors="replace")
                    latency_s = time.perf_counter() - request.began
                    answers[request.number] = WorkerAnswer(
                        request.prompt.id, text, len(request.ids), latency_s, request.first_s
                    )
                    running.remove(request)
                elif request.ids and not request.pending:
                    request.pending = [request.ids[-1]]
        return [answers[number] for number in sorted(answers)]

    def _submit(self, number: int, prompt: WorkerPrompt, taken: set[int]) -> _Running:
        began = time.perf_counter()
        tokens = self._tokenize(prompt.text)
        free = [slot for slot in self._slots if slot.number not in taken]
        slot = max(free, key=lambda each: (_common(each.tokens, tokens), -len(each.tokens)))
        best = max(self._slots, key=lambda each: _common(each.tokens, tokens))
        kept = min(_common(best.tokens, tokens), len(tokens) - 1)  # the last token must run to give logits
        if best is slot or kept <= _common(slot.tokens, tokens):
            kept = min(_common(slot.tokens, tokens), len(tokens) - 1)
            llama_cpp.llama_memory_seq_rm(self._memory, slot.number, kept, -1)
        else:
            llama_cpp.llama_memory_seq_rm(self._memory, slot.number, -1, -1)
            llama_cpp.llama_memory_seq_cp(self._memory, best.number, slot.number, 0, kept)
        slot.tokens = tokens[:kept]
        return _Running(number, prompt, slot, tokens[kept:], began)

    def _step(self, running: list[_Running]) -> None:
        """Runs one decode call with as many new tokens as fit, and takes the next token where a prompt is through."""
        batch, rows = self._batch, 0
        last: list[tuple[_Running, int]] = []
        for request in sorted(running, key=lambda each: len(each.pending)):
            part = request.pending[: _BATCH - rows]
            for token in part:
                batch.token[rows] = token
                batch.pos[rows] = len(request.slot.tokens)
                batch.n_seq_id[rows] = 1
                batch.seq_id[rows][0] = request.slot.number
                batch.logits[rows] = 0
                request.slot.tokens.append(token)
                rows += 1
            request.pending = request.pending[len(part) :]
            if part and not request.pending:
                batch.logits[rows - 1] = 1
                last.append((request, rows - 1))
        batch.n_tokens = rows
        if status := llama_cpp.llama_decode(self._context, batch):
            raise RuntimeError(f"llama_decode failed ({status})")
        for request, row in last:
            logits = llama_cpp.llama_get_logits_ith(self._context, row)
            token = int(np.argmax(np.ctypeslib.as_array(logits, (self._vocabulary_size,))))
            request.first_s = request.first_s or time.perf_counter() - request.began
            request.ids.append(token)
            if not self._ends(token):
                request.pieces += self._piece(token)

    def _is_over(self, request: _Running, stop: LineStop, max_new_tokens: int) -> bool:
        if self._ends(request.ids[-1]) or len(request.ids) >= max_new_tokens:
            return True
        return b"\n" in self._piece(request.ids[-1]) and stop.is_over(request.pieces.decode("utf-8", errors="replace"))

    def _ends(self, token: int) -> bool:
        return bool(llama_cpp.llama_vocab_is_eog(self._vocabulary, token))

    def _tokenize(self, text: str) -> list[int]:
        raw = text.encode()
        room = len(raw) + 8
        tokens = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self._vocabulary, raw, len(raw), tokens, room, False, True)
        if count < 0:
            raise RuntimeError("llama_tokenize failed")
        return list(tokens[:count])

    def _piece(self, token: int) -> bytes:
        piece = ctypes.create_string_buffer(_PIECE_BYTES)
        size = llama_cpp.llama_token_to_piece(self._vocabulary, token, piece, _PIECE_BYTES, 0, False)
        return piece.raw[:size]


def _common(one: list[int], other: list[int]) -> int:
    """The length of the longest common beginning."""
    limit = min(len(one), len(other))
    return next((i for i in range(limit) if one[i] != other[i]), limit)


def main() -> None:
    """Entry point of the process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    out = events_descriptor()
    about = {
        "engine": "llama.cpp",
        "model": options.model.name,
        "versions": versions("llama-cpp-python"),
        "settings": {
            "threads": options.threads,
            "prefix_caching": True,
            "slots": _SLOTS,
            "context": _CONTEXT,
            "batch": _BATCH,
            "build": llama_cpp.llama_print_system_info().decode(),
        },
    }
    serve(LlamaCppEngine(options.model, options.threads), about, sys.stdin, out)


if __name__ == "__main__":
    main()
