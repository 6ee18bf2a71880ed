"""The engine: requests join and leave the batch at every step.

One `step` is schedule, run, postprocess. Schedule and postprocess run on the event loop, which owns all state, so that
nothing is locked; only the model runs on another thread. An abort during a step frees blocks at once: the next step is
planned after the present one has ended, so nobody else can write to them meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

from iterqr_proto.rewrite_format import Prompt

from iterqr_server.engine.block_pool import BlockPool
from iterqr_server.engine.detokenizer import Detokenizer
from iterqr_server.engine.errors import (
    EngineClosedError,
    EngineFatalError,
    PromptTooLongError,
    QueueFullError,
)
from iterqr_server.engine.executor import StepExecutor
from iterqr_server.engine.guide import Guides
from iterqr_server.engine.interface import EngineStats, FinishReason, GenerationChunk, GenerationRequest
from iterqr_server.engine.packing import pack
from iterqr_server.engine.prefix_cache import PrefixCache
from iterqr_server.engine.sampler import Sample, greedy
from iterqr_server.engine.scheduler import StepPlan, plan_step
from iterqr_server.engine.sequence import Sequence
from iterqr_server.engine.settings import EngineSettings
from iterqr_server.engine.stream import GenerationStream
from iterqr_server.engine.tokenizer import PromptTokenizer

_T = TypeVar("_T")
_PREFIX_ENCODINGS = 16
_RETRY_AFTER_S = 0.5


@dataclass(slots=True)
class _Live:
    """A request from `submit` to its last chunk."""

    sequence: Sequence
    stream: GenerationStream
    detokenizer: Detokenizer = field(default_factory=Detokenizer)


@dataclass(slots=True)
class _Counters:
    steps: int = 0
    prompt_tokens: int = 0
    prefix_tokens_reused: int = 0
    generated_tokens: int = 0
    step_seconds: float = 0.0


class ContinuousBatchingEngine:
    """A `GenerationEngine` over a `StepExecutor`.

    `open_executor` loads the model; it is called on the step thread by `start`. A request's prefix is computed once and
    kept until its room is needed. Requests start in order of arrival, as soon as their worst case fits the arena.
    Without `guides`, outputs are free whatever a request's guide says.
    """

    def __init__(
        self,
        *,
        model_id: str,
        tokenizer: PromptTokenizer,
        open_executor: Callable[[], StepExecutor],
        settings: EngineSettings,
        guides: Guides | None = None,
    ) -> None:
        self._model_id = model_id
        self._tokenizer = tokenizer
        self._open_executor = open_executor
        self._settings = settings
        self._guides = guides
        self._encode_prefix = lru_cache(maxsize=_PREFIX_ENCODINGS)(tokenizer.encode)
        self._pool = BlockPool(settings.arena_positions, settings.block_positions)
        self._prefixes = PrefixCache(self._pool)
        self._executor: StepExecutor | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine-step")
        self._live: dict[str, _Live] = {}
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []
        self._work = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None
        self._closed = False
        self._fatal: Exception | None = None
        self._counters = _Counters()

    @property
    def model_id(self) -> str:
        """See `GenerationEngine`."""
        return self._model_id

    async def start(self, warm_up: Prompt) -> None:
        """See `GenerationEngine`.

        Raises:
            EngineFatalError: the model does not load or does not run.
        """
        if self._closed or self._executor is not None:
            raise EngineClosedError("the engine was started before")
        try:
            self._executor = await self._on_step_thread(self._open_executor)
        except Exception as error:
            self._fatal = error
            raise EngineFatalError(f"the model could not be loaded: {error}") from error
        self._loop_task = asyncio.create_task(self._run(self._executor), name="engine-loop")
        request = GenerationRequest(request_id="warm-up", prompt=warm_up, max_new_tokens=1)
        async with aclosing(self.submit(request)) as chunks:
            async for _ in chunks:
                pass

    def submit(self, request: GenerationRequest) -> GenerationStream:
        """See `GenerationEngine`.

        Raises:
            EngineFatalError: the model failed before; besides what the interface names.
            ValueError: the prompt is empty, `max_new_tokens` is below 1, `request_id` is in use, or `guide` is no
                regular expression.
        """
        self._check_usable()
        if request.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens: must be at least 1, got {request.max_new_tokens}")
        if request.request_id in self._live:
            raise ValueError(f"request_id: {request.request_id!r} is in use")
        self._admit()
        if self._waiting and len(self._waiting) >= self._settings.max_waiting:  # refused before it costs an encoding
            raise QueueFullError(len(self._waiting), self._settings.max_waiting, _RETRY_AFTER_S)
        sequence = self._encode(request)
        self._check_fits(sequence)
        self._waiting.append(sequence)
        self._admit()
        if len(self._waiting) > self._settings.max_waiting:
            self._waiting.pop()
            raise QueueFullError(len(self._waiting), self._settings.max_waiting, _RETRY_AFTER_S)
        stream = GenerationStream(on_close=lambda: self.abort(request.request_id))
        self._live[request.request_id] = _Live(sequence, stream)
        self._work.set()
        return stream

    def abort(self, request_id: str) -> None:
        """See `GenerationEngine`. Blocks are free before the next step is planned."""
        live = self._live.get(request_id)
        if live is not None:
            self._end(live, GenerationChunk("", (), (), FinishReason.ABORTED))

    def stats(self) -> EngineStats:
        """See `GenerationEngine`. Positions used include kept prefixes and what running requests reserved."""
        return EngineStats(
            running=len(self._running),
            waiting=len(self._waiting),
            kv_positions_used=self._pool.held_positions,
            kv_positions_limit=self._pool.total_blocks * self._pool.block_positions,
            steps_total=self._counters.steps,
            prompt_tokens_total=self._counters.prompt_tokens,
            prefix_tokens_reused_total=self._counters.prefix_tokens_reused,
            generated_tokens_total=self._counters.generated_tokens,
            step_seconds_total=self._counters.step_seconds,
        )

    async def close(self) -> None:
        """See `GenerationEngine`. Returns when the step under way has ended."""
        if self._closed:
            return
        self._closed = True
        for request_id in list(self._live):
            self.abort(request_id)
        self._work.set()
        if self._loop_task is not None:
            await self._loop_task
        if self._executor is not None:
            await self._on_step_thread(self._executor.close)
        self._thread.shutdown(wait=False)

    async def _run(self, executor: StepExecutor) -> None:
        while not self._closed:
            try:
                if not await self._step(executor):
                    self._work.clear()
                    await self._work.wait()
            except Exception as error:
                self._die(error)
                return

    async def _step(self, executor: StepExecutor) -> bool:
        """Schedule, run, postprocess. Returns False if there was nothing to do."""
        plan = self._schedule()
        if not plan.chunks:
            return False
        started = time.perf_counter()
        step = pack(plan)
        guides = [c.holder.guide for c in plan.chunks if c.wants_logits and isinstance(c.holder, Sequence)]
        samples = await self._on_step_thread(lambda: greedy(executor.run(step), guides))
        self._counters.steps += 1
        self._counters.step_seconds += time.perf_counter() - started
        self._postprocess(plan, samples)
        return True

    def _schedule(self) -> StepPlan:
        """Starts waiting requests that fit, plans the next step and makes room for its tokens."""
        self._admit()
        plan = plan_step(self._running, self._settings.max_step_rows)
        for chunk in plan.chunks:
            if chunk.holder.lease is not None:
                chunk.holder.lease.grow(chunk.start + chunk.count)
        return plan

    def _admit(self) -> None:
        while self._waiting and self._may_start(self._waiting[0]):
            self._start_running(self._waiting.popleft())

    def _may_start(self, sequence: Sequence) -> bool:
        """Whether there is room for `sequence`; unused prefixes make way for it."""
        if len(self._running) >= self._settings.max_running:
            return False
        new_prefix = [] if self._prefixes.find(sequence.prefix_ids) else [len(sequence.prefix_ids)]
        return self._prefixes.make_room([*new_prefix, sequence.max_own_positions], keep=sequence.prefix_ids)

    def _start_running(self, sequence: Sequence) -> None:
        if sequence.prefix_ids:
            if self._prefixes.find(sequence.prefix_ids):
                self._counters.prefix_tokens_reused += len(sequence.prefix_ids)
            sequence.prefix = self._prefixes.acquire(sequence.prefix_ids)
        sequence.lease = self._pool.reserve(sequence.max_own_positions)
        self._counters.prompt_tokens += sequence.prompt_length
        self._running.append(sequence)

    def _postprocess(self, plan: StepPlan, samples: tuple[Sample, ...]) -> None:
        """Advances the plan's holders and hands out the new tokens, except for requests that ended meanwhile."""
        remaining = iter(samples)
        for chunk in plan.chunks:
            chunk.holder.computed += chunk.count
            sample = next(remaining) if chunk.wants_logits else None
            if sample is not None and isinstance(chunk.holder, Sequence):
                live = self._live.get(chunk.holder.request_id)
                if live is not None and live.sequence is chunk.holder:
                    self._advance(live, sample)

    def _advance(self, live: _Live, sample: Sample) -> None:
        sequence = live.sequence
        if sample.token_id in self._tokenizer.stop_ids:
            self._end(live, GenerationChunk(live.detokenizer.finish(), (), (), FinishReason.STOP))
            return
        sequence.token_ids.append(sample.token_id)
        if sequence.guide is not None:
            sequence.guide.advance(sample.token_id)
        self._counters.generated_tokens += 1
        text = live.detokenizer.feed(self._tokenizer.token_bytes(sample.token_id))
        is_last = sequence.generated >= sequence.max_new_tokens
        chunk = GenerationChunk(
            text=text + live.detokenizer.finish() if is_last else text,
            token_ids=(sample.token_id,),
            logprobs=(sample.logprob,),
            finish_reason=FinishReason.LENGTH if is_last else None,
            prompt_tokens=len(sequence.prefix_ids) + sequence.suffix_length,
        )
        if is_last:
            self._end(live, chunk)
        else:
            live.stream.put(chunk)

    def _end(self, live: _Live, last: GenerationChunk | Exception) -> None:
        """Takes a request out of the engine and frees what it holds."""
        sequence = live.sequence
        del self._live[sequence.request_id]
        if sequence.lease is None:
            self._waiting.remove(sequence)
        else:
            self._running.remove(sequence)
            sequence.lease.release()
            if sequence.prefix is not None:
                self._prefixes.release(sequence.prefix)
        if isinstance(last, Exception):
            live.stream.fail(last)
        else:
            live.stream.put(last)
        self._work.set()

    def _die(self, error: Exception) -> None:
        self._fatal = error
        for live in list(self._live.values()):
            fatal = EngineFatalError(f"the model runner failed: {error}")
            fatal.__cause__ = error
            self._end(live, fatal)

    def _check_usable(self) -> None:
        if self._fatal is not None:
            raise EngineFatalError(f"the model runner failed: {self._fatal}") from self._fatal
        if self._closed or self._executor is None:
            raise EngineClosedError("the engine is closed" if self._closed else "the engine has not been started")

    def _encode(self, request: GenerationRequest) -> Sequence:
        prefix_ids = self._encode_prefix(request.prompt.prefix)
        suffix_ids = self._tokenizer.encode(request.prompt.suffix)
        if not suffix_ids:  # the last token of the prompt must be computed for its logits
            prefix_ids, suffix_ids = prefix_ids[:-1], prefix_ids[-1:]
        if not suffix_ids:
            raise ValueError("prompt: must not be empty")
        guide = self._guides.open(request.guide) if self._guides is not None and request.guide else None
        return Sequence(request.request_id, prefix_ids, suffix_ids, request.max_new_tokens, guide)

    def _check_fits(self, sequence: Sequence) -> None:
        """Raises PromptTooLongError if `sequence` could not run even in an empty engine."""
        positions = len(sequence.prefix_ids) + sequence.max_own_positions
        blocks = self._pool.blocks_for(len(sequence.prefix_ids)) + self._pool.blocks_for(sequence.max_own_positions)
        context = self._executor.max_positions if self._executor is not None else positions
        if positions > context:
            raise PromptTooLongError(positions, context)
        if blocks > self._pool.total_blocks:
            limit = self._pool.total_blocks * self._pool.block_positions
            raise PromptTooLongError(blocks * self._pool.block_positions, limit)

    async def _on_step_thread(self, function: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)
