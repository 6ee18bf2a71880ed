"""A `GenerationEngine` over a library that schedules by itself.

What the library lacks is done here: a bounded queue that is fair among tenants and drops what is late, requests that
never exceed what the library holds, ends that are waited for before a place is given on, and one broken library that
is told to every caller. Nothing here knows which library it is.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import lru_cache

import structlog
from iterqr_proto.rewrite_format import Prompt, Segment

from iterqr_server.engine.errors import (
    DeadlineExpiredError,
    EngineClosedError,
    EngineError,
    EngineFatalError,
    PromptTooLongError,
    QueueFullError,
    RequestFailedError,
    RequestRefusedError,
)
from iterqr_server.engine.interface import EngineStats, GenerationRequest, ScoreRequest
from iterqr_server.engine.request_runner import RequestRunner, RunnerOutput, RunnerRequest
from iterqr_server.engine.request_sinks import GenerationSink, RequestSink, ScoreSink
from iterqr_server.engine.stream import GenerationStream
from iterqr_server.engine.tokenizer import PromptTokenizer
from iterqr_server.engine.waiting_queue import WaitingQueue

_PREFIX_ENCODINGS = 16
_FIRST_SERVICE_S = 0.2  # of one request, until some have ended
_SERVICE_SHARE = 0.1  # of the latest request in the running mean
_DRAIN_S = 10.0  # for aborted requests to end when the engine closes
_PROBE_GUIDE = "ok"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """How much a `RequestLevelEngine` takes on.

    `max_positions` bounds one prompt with its output, in tokens. Shared beginnings are filled up at their front with
    `filler_id` to whole blocks of `block_tokens`; None leaves them as they are. A running request that is silent for
    `stall_timeout_s` means that the library hangs.
    """

    max_running: int
    max_waiting: int
    max_positions: int
    block_tokens: int = 1
    filler_id: int | None = None
    stall_timeout_s: float = 60.0


@dataclass(slots=True, eq=False)
class _Live:
    """A request from `submit` until its caller has its end; `is_over` then, though the library may still drain it."""

    name: str
    request: RunnerRequest
    sink: RequestSink
    tenant: str
    deadline: float | None
    arrived: float
    expiry: asyncio.TimerHandle | None = None
    is_over: bool = False


@dataclass(slots=True)
class _Counters:
    prompt_tokens: int = 0
    reused_tokens: int = 0
    generated_tokens: int = 0
    admitted: int = 0
    queue_full: int = 0
    expired: int = 0


@dataclass(slots=True)
class _Places:
    """Who waits for the library and who has a place in it."""

    waiting: WaitingQueue[_Live] = field(default_factory=WaitingQueue)
    running: dict[_Live, asyncio.Task[None]] = field(default_factory=dict)


class RequestLevelEngine:
    """See the module. Prompts are encoded and outputs decoded here, so that texts do not depend on the library."""

    def __init__(
        self, *, model_id: str, tokenizer: PromptTokenizer, runner: RequestRunner, limits: RequestLimits
    ) -> None:
        self._model_id = model_id
        self._tokenizer = tokenizer
        self._runner = runner
        self._limits = limits
        self._read_prefix = lru_cache(maxsize=_PREFIX_ENCODINGS)(self._encode_prefix)
        self._numbers = itertools.count(1)
        self._places = _Places()
        self._live: dict[str, _Live] = {}
        self._counters = _Counters()
        self._service_s = _FIRST_SERVICE_S
        self._is_open = False
        self._closed = False
        self._fatal: Exception | None = None

    @property
    def model_id(self) -> str:
        """See `GenerationEngine`."""
        return self._model_id

    async def start(self, warm_up: Prompt) -> None:
        """See `GenerationEngine`. The first outputs are checked: they keep to a guide, and have probabilities.

        Raises:
            EngineFatalError: the model does not load, or does not do what it is asked.
        """
        if self._closed or self._is_open or self._fatal is not None:
            raise EngineClosedError("the engine was started before")
        try:
            await self._runner.open()
        except Exception as error:
            self._fatal = error
            raise EngineFatalError(f"the model could not be loaded: {error}") from error
        self._is_open = True
        try:
            await self._probe(warm_up)
        except EngineError as error:
            self._fatal = self._fatal or error
            raise EngineFatalError(f"the model was loaded but does not work: {error}") from error

    def submit(self, request: GenerationRequest) -> GenerationStream:
        """See `GenerationEngine`.

        Raises:
            EngineFatalError: the library broke before; besides what the interface names.
            ValueError: the prompt is empty, `max_new_tokens` is below 1, or `request_id` is in use.
        """
        self._check_usable()
        if request.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens: must be at least 1, got {request.max_new_tokens}")
        if request.request_id in self._live:
            raise ValueError(f"request_id: {request.request_id!r} is in use")
        self._check_queue(1)
        asked = self._asked(request.prompt, request.max_new_tokens, request.guide, request.tenant, likeliest=1)
        stream = GenerationStream(on_close=lambda: self._abort(live))
        sink = GenerationSink(stream, self._tokenizer, len(asked.prompt_ids))
        live = self._new(request.request_id, asked, sink, request.tenant, request.deadline)
        self._begin(live)
        return stream

    async def score(self, request: ScoreRequest) -> tuple[tuple[float, ...], ...]:
        """See `GenerationEngine`. One token is generated for each prompt, held to the answers.

        Raises:
            EngineFatalError: the library broke before or meanwhile; besides what the interface names.
            ValueError: a prompt is empty, there are no answers, one is not a single token, or `request_id` is in use.
        """
        self._check_usable()
        self._check_queue(len(request.prompts))
        answer_ids = self._answer_ids(request.answers)
        names = [f"{request.request_id}/{number}" for number in range(len(request.prompts))]
        if any(name in self._live for name in names):
            raise ValueError(f"request_id: {request.request_id!r} is in use")
        guide = "|".join(re.sub(r"([\\.^$|?*+()\[\]{}])", r"\\\1", answer) for answer in request.answers)
        # Under the guide, an answer's beginnings are possible too: with all of them listed, no answer is missing.
        likeliest = sum(len(answer.encode()) for answer in request.answers)
        asked = [self._asked(prompt, 1, guide, request.tenant, likeliest=likeliest) for prompt in request.prompts]
        loop = asyncio.get_running_loop()
        sinks = [ScoreSink(loop.create_future(), answer_ids) for _ in asked]
        lives = [
            self._new(name, each, sink, request.tenant, request.deadline)
            for name, each, sink in zip(names, asked, sinks, strict=True)
        ]
        for live in lives:
            self._begin(live)
        try:
            return tuple(await asyncio.gather(*(sink.result for sink in sinks)))
        finally:
            for live in lives:
                self._abort(live)

    def note_first_result(self, request_id: str, tokens: int) -> float | None:  # noqa: ARG002 - the interface's
        """See `GenerationEngine`. Nothing was estimated: how the library schedules is not known."""
        return None

    def abort(self, request_id: str) -> None:
        """See `GenerationEngine`. The library's place is free when it says that the request has ended."""
        live = self._live.get(request_id)
        if live is not None:
            self._abort(live)

    def stats(self) -> EngineStats:
        """See `GenerationEngine`. Running are all that the library holds, aborted ones until they have ended."""
        library, counters = self._runner.stats(), self._counters
        return EngineStats(
            running=len(self._places.running),
            waiting=len(self._places.waiting),
            kv_positions_used=library.kv_positions_used,
            kv_positions_limit=library.kv_positions_limit,
            steps_total=library.steps_total,
            step_seconds_total=library.step_seconds_total,
            drafts=library.drafts,
            prompt_tokens_total=counters.prompt_tokens,
            prefix_tokens_reused_total=counters.reused_tokens,
            generated_tokens_total=counters.generated_tokens,
            admitted_total=counters.admitted,
            refused_queue_full_total=counters.queue_full,
            expired_total=counters.expired,
        )

    async def close(self) -> None:
        """See `GenerationEngine`. Aborted requests get a while to end in the library."""
        if self._closed:
            return
        self._closed = True
        for live in list(self._live.values()):
            self._abort(live)
        tasks = list(self._places.running.values())
        if tasks:
            await asyncio.wait(tasks, timeout=0 if self._fatal else _DRAIN_S)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._runner.close()

    async def _probe(self, warm_up: Prompt) -> None:
        """Runs `warm_up`, which keeps its prefix, and checks that the library keeps to guides.

        That the prefix is found again makes requests fast, not right: a library that does not is logged, and serves.
        """
        for number, guide in enumerate(("", _PROBE_GUIDE)):
            asked = GenerationRequest(f"probe-{number}", warm_up, 8 if guide else 1, guide=guide)
            async with aclosing(self.submit(asked)) as chunks:
                text = "".join([chunk.text async for chunk in chunks])
            if guide and text != guide:
                raise RequestFailedError(f"an output that was to be {guide!r} has {len(text)} other characters")
        prefix = len(self._read_prefix(warm_up.prefix))
        if self._counters.reused_tokens < prefix - self._limits.block_tokens:
            _log.warning("prefix_not_reused", prefix_tokens=prefix, reused_tokens=self._counters.reused_tokens)

    def _check_usable(self) -> None:
        if self._fatal is not None:
            raise EngineFatalError(f"the model runner failed: {self._fatal}") from self._fatal
        if self._closed or not self._is_open:
            raise EngineClosedError("the engine is closed" if self._closed else "the engine has not been started")

    def _check_queue(self, more: int) -> None:
        """Raises QueueFullError if not all of `more` requests may start or wait."""
        waiting, running = len(self._places.waiting), len(self._places.running)
        starting = max(0, self._limits.max_running - running)
        if waiting + more - starting > self._limits.max_waiting:
            self._counters.queue_full += 1
            raise QueueFullError(waiting, self._limits.max_waiting, self._service_s / self._limits.max_running)

    def _encode_prefix(self, segments: tuple[Segment, ...]) -> tuple[int, ...]:
        """Tokens of a shared beginning, filled up to whole blocks: only those are kept."""
        ids = self._tokenizer.encode(segments)
        filler = self._limits.filler_id
        return ids if filler is None or not ids else (filler,) * (-len(ids) % self._limits.block_tokens) + ids

    def _asked(self, prompt: Prompt, max_new_tokens: int, guide: str, salt: str, *, likeliest: int) -> RunnerRequest:
        prefix = self._read_prefix(prompt.prefix)
        ids = prefix + self._tokenizer.encode(prompt.suffix)
        if not ids:
            raise ValueError("prompt: must not be empty")
        if len(ids) + max_new_tokens > self._limits.max_positions:
            raise PromptTooLongError(len(ids) + max_new_tokens, self._limits.max_positions)
        return RunnerRequest(next(self._numbers), ids, len(prefix), max_new_tokens, guide, salt, likeliest)

    def _answer_ids(self, answers: tuple[str, ...]) -> tuple[int, ...]:
        if not answers:
            raise ValueError("answers: must not be empty")
        encoded = [self._tokenizer.encode((Segment(answer, is_data=True),)) for answer in answers]
        for answer, token_ids in zip(answers, encoded, strict=True):
            if len(token_ids) != 1:
                raise ValueError(f"answers: {answer!r} is {len(token_ids)} tokens, must be one")
        return tuple(token_id for (token_id,) in encoded)

    def _new(self, name: str, asked: RunnerRequest, sink: RequestSink, tenant: str, deadline: float | None) -> _Live:
        return _Live(name, asked, sink, tenant, deadline, asyncio.get_running_loop().time())

    def _begin(self, live: _Live) -> None:
        """Takes in a request, and starts it if there is a place."""
        self._counters.admitted += 1
        self._live[live.name] = live
        work = len(live.request.prompt_ids) + live.request.max_new_tokens
        self._places.waiting.push(live, tenant=live.tenant, deadline=live.deadline, work=work)
        self._start_waiting()
        if live.deadline is not None and live in self._places.waiting:
            live.expiry = asyncio.get_running_loop().call_at(live.deadline, self._expire, live)

    def _start_waiting(self) -> None:
        while self._places.waiting and len(self._places.running) < self._limits.max_running and self._fatal is None:
            live = self._places.waiting.pop()
            if live.expiry is not None:
                live.expiry.cancel()
            self._counters.prompt_tokens += len(live.request.prompt_ids)
            self._places.running[live] = asyncio.create_task(self._run(live), name=f"request-{live.request.number}")

    async def _run(self, live: _Live) -> None:
        """A request's time in the library, from its submission to the end that the library tells."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        outputs = self._runner.run(live.request)
        try:
            if live.is_over:  # aborted before the library heard of it
                return
            while True:
                try:
                    async with asyncio.timeout(self._limits.stall_timeout_s):
                        output = await anext(outputs)
                except StopAsyncIteration:
                    break
                self._take(live, output)
            self._service_s += _SERVICE_SHARE * (loop.time() - started - self._service_s)
            self._fail(live, RequestFailedError("the library ended a request without saying why"))
        except (RequestRefusedError, RequestFailedError) as error:
            self._fail(live, error)
        except TimeoutError:
            self._die(RuntimeError(f"a request got nothing for {self._limits.stall_timeout_s:g} s"))
        except Exception as error:
            self._die(error)
        finally:
            del self._places.running[live]
            self._start_waiting()

    def _take(self, live: _Live, output: RunnerOutput) -> None:
        self._counters.reused_tokens += output.reused
        if live.is_over:
            return
        try:
            self._counters.generated_tokens += live.sink.put(output)
        except RequestFailedError as error:
            self._fail(live, error)
            self._runner.abort(live.request.number)
            return
        if output.finish_reason is not None:
            self._leave(live)

    def _abort(self, live: _Live) -> None:
        """Ends a request unless it has ended; its name may be another's by now."""
        if live.is_over:
            return
        is_running = live in self._places.running
        self._leave(live)
        if is_running:
            self._runner.abort(live.request.number)
        live.sink.abort()

    def _fail(self, live: _Live, error: Exception) -> None:
        if not live.is_over:
            self._leave(live)
            live.sink.fail(error)

    def _leave(self, live: _Live) -> None:
        """The caller has a request's end. If the library has it, its place is free when that tells the end too."""
        live.is_over = True
        del self._live[live.name]
        if live.expiry is not None:
            live.expiry.cancel()
        if live in self._places.waiting:
            self._places.waiting.remove(live)

    def _expire(self, live: _Live) -> None:
        """A waiting request's deadline has passed."""
        if not live.is_over and live in self._places.waiting:
            self._counters.expired += 1
            self._fail(live, DeadlineExpiredError(asyncio.get_running_loop().time() - live.arrived))

    def _die(self, error: Exception) -> None:
        """The library is broken: every request fails, and no other is taken."""
        if self._fatal is None and not self._closed:
            self._fatal = error
        for live in list(self._live.values()):
            fatal = EngineFatalError(f"the model runner failed: {error}")
            fatal.__cause__ = error
            with suppress(asyncio.InvalidStateError):
                self._fail(live, fatal)
