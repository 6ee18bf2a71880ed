"""`iterqr-server engine run`: the engine alone, without gRPC, caches and hints, for measuring it.

Speaks JSON, one object a line, on standard input and output:

    out  {"event": "ready", "engine": ..., "model": ..., "versions": {...}, "settings": {...}}
    in   {"op": "run", "concurrency": 4, "max_rewrites": 3, "max_new_tokens": 96, "prompts": [PROMPT, ...]}
    out  {"event": "result", "wall_s": ..., "answers": [ANSWER, ...], "stats": {...}}
    ...
    in   end of input

PROMPT is {"id", "query", "hints", "prefix", "suffix"}; prefix and suffix are arrays of [text, is_data] (`Segment`).
ANSWER is {"id", "text", "tokens", "latency_s", "first_s"}, and with "logprobs": true in the request also
{"token_ids", "logprobs"}. `concurrency` prompts run at a time, the next starts when
one ends; a request gets what the server gives it: guide, drafts, and an end after the last wanted `rw:` line. `stats`
are those of `EngineStats`, counted since the start. A wrong request is answered {"event": "error", "message": ...}.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, TextIO

from iterqr_proto.rewrite_format import Field, LineParser, Prompt, RewriteInput, Segment, Template, render

from iterqr_server.engine.errors import EngineError
from iterqr_server.engine.interface import FinishReason, GenerationEngine
from iterqr_server.rewrite.generation_request import generation_request

_WARM_UP_QUERY = "warm up"
_PARTS = ("prefix", "suffix")


class RunRequestError(ValueError):
    """A line of input is not a request; the message names the fault."""


@dataclass(frozen=True, slots=True)
class RunPrompt:
    """One prompt to continue; `query` and `hints` are what it was rendered from."""

    id: str
    query: str
    hints: tuple[str, ...]
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class RunRequest:
    """Prompts to run, `concurrency` at a time."""

    concurrency: int
    max_rewrites: int
    max_new_tokens: int
    prompts: tuple[RunPrompt, ...]
    logprobs: bool = False


@dataclass(frozen=True, slots=True)
class RunAnswer:
    """What one prompt gave. `tokens` counts the generated ones; times run from its submission to the engine."""

    id: str
    text: str
    tokens: int
    latency_s: float
    first_s: float
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()


async def run_engine(
    engine: GenerationEngine,
    template: Template,
    about: Mapping[str, Any],
    source: TextIO,
    sink: TextIO,
) -> None:
    """Starts the engine and answers requests until the input ends.

    Args:
        engine: Not started yet; closed when this returns.
        template: Its prompt warms the engine up, as in the server.
        about: Added to the `ready` event.
        source: Requests, one a line.
        sink: Events, one a line.

    Raises:
        EngineError: The engine does not start or broke.
    """

    def tell(event: str, **fields: object) -> None:
        print(json.dumps({"event": event, **fields}, ensure_ascii=False), file=sink, flush=True)

    try:
        await engine.start(render(template, RewriteInput(_WARM_UP_QUERY)))
        tell("ready", engine="iterqr", model=engine.model_id, **about)
        async for line in _lines(source):
            try:
                request = read_request(line)
            except RunRequestError as error:
                tell("error", message=str(error))
                continue
            began = asyncio.get_running_loop().time()
            answers = await _run(engine, request)
            wall_s = asyncio.get_running_loop().time() - began
            tell("result", wall_s=wall_s, answers=[_plain(each) for each in answers], stats=asdict(engine.stats()))
    finally:
        await engine.close()


def read_request(line: str) -> RunRequest:
    """Reads a line of input.

    Raises:
        RunRequestError: It is not a `run` request.
    """
    try:
        fields = json.loads(line)
        if fields["op"] != "run":
            raise RunRequestError(f"op: must be 'run', got {fields['op']!r}")
        request = RunRequest(
            concurrency=int(fields["concurrency"]),
            max_rewrites=int(fields["max_rewrites"]),
            max_new_tokens=int(fields["max_new_tokens"]),
            prompts=tuple(_read_prompt(each) for each in fields["prompts"]),
            logprobs=bool(fields.get("logprobs", False)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise error if isinstance(error, RunRequestError) else RunRequestError(f"not a request: {error!r}") from error
    for name in ("concurrency", "max_rewrites", "max_new_tokens"):
        if getattr(request, name) < 1:
            raise RunRequestError(f"{name}: must be at least 1, got {getattr(request, name)}")
    return request


def _read_prompt(fields: dict[str, Any]) -> RunPrompt:
    prefix, suffix = (tuple(Segment(str(text), bool(data)) for text, data in fields[part]) for part in _PARTS)
    return RunPrompt(str(fields["id"]), str(fields["query"]), tuple(map(str, fields["hints"])), Prompt(prefix, suffix))


async def _lines(source: TextIO) -> AsyncIterator[str]:
    while line := await asyncio.to_thread(source.readline):
        if line.strip():
            yield line


async def _run(engine: GenerationEngine, request: RunRequest) -> list[RunAnswer]:
    waiting = iter(enumerate(request.prompts))
    answers: dict[int, RunAnswer] = {}

    async def work() -> None:
        for number, prompt in waiting:
            answers[number] = await _answer(engine, request, prompt, f"run-{number}")

    async with asyncio.TaskGroup() as workers:
        for _ in range(min(request.concurrency, len(request.prompts))):
            workers.create_task(work())
    return [answers[number] for number in sorted(answers)]


async def _answer(engine: GenerationEngine, request: RunRequest, prompt: RunPrompt, request_id: str) -> RunAnswer:
    loop = asyncio.get_running_loop()
    began = loop.time()
    first_s, tokens, text, stop = 0.0, 0, "", RewriteLines(request.max_rewrites)
    token_ids: list[int] = []
    logprobs: list[float] = []
    stream = engine.submit(
        generation_request(
            request_id,
            RewriteInput(prompt.query, prompt.hints),
            prompt.prompt,
            max_rewrites=request.max_rewrites,
            max_new_tokens=request.max_new_tokens,
        )
    )
    try:
        async for chunk in stream:
            if chunk.finish_reason is FinishReason.ABORTED:
                raise EngineError("the engine ended a request")
            first_s = first_s or loop.time() - began
            tokens += len(chunk.token_ids)
            text += chunk.text
            token_ids += chunk.token_ids
            logprobs += chunk.logprobs
            if stop.feed(chunk.text):
                break
    finally:
        engine.abort(request_id)
    answer = RunAnswer(prompt.id, text, tokens, loop.time() - began, first_s)
    return replace(answer, token_ids=tuple(token_ids), logprobs=tuple(logprobs)) if request.logprobs else answer


def _plain(answer: RunAnswer) -> dict[str, Any]:
    """An answer as JSON has it; tokens only where they were asked for."""
    return {name: value for name, value in asdict(answer).items() if value != ()}


class RewriteLines:
    """Counts finished `rw:` lines of a stream."""

    def __init__(self, wanted: int) -> None:
        self._parser = LineParser()
        self._missing = wanted

    def feed(self, text: str) -> bool:
        """Takes the next text and tells whether the last wanted line is complete."""
        self._missing -= sum(line.field is Field.REWRITE for line in self._parser.feed(text))
        return self._missing <= 0


@contextlib.contextmanager
def only_events_on_stdout() -> Iterator[TextIO]:
    """Gives standard output to the protocol alone; what libraries print goes to standard error meanwhile."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(kept, "w", encoding="utf-8", closefd=False) as sink:
            yield sink
    finally:
        os.dup2(kept, 1)
        os.close(kept)
