"""The engine: requests join and leave the batch at every step.

One `step` is schedule, run, postprocess. Schedule and postprocess run on the event loop, which owns all state, so that
nothing is locked; the model runs, and its logits are read, on another thread. An abort during a step frees blocks at
once: the next step is planned after the present one has ended, so nobody else can write to them meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TypeVar

from iterqr_proto.rewrite_format import Prompt, Segment

from iterqr_server.engine.admission_control import AdmissionControl
from iterqr_server.engine.batch import Batch
from iterqr_server.engine.cost_curve import CostCurve, calibrate
from iterqr_server.engine.detokenizer import Detokenizer
from iterqr_server.engine.drafter import SOURCES, Drafter, DraftSession
from iterqr_server.engine.errors import (
    DeadlineExpiredError,
    EngineClosedError,
    EngineFatalError,
    PromptTooLongError,
)
from iterqr_server.engine.executor import PackedStep, StepExecutor
from iterqr_server.engine.guide import Guides
from iterqr_server.engine.interface import (
    DraftSourceStats,
    EngineStats,
    FinishReason,
    GenerationChunk,
    GenerationRequest,
    ScoreRequest,
)
from iterqr_server.engine.ngram_index import NgramIndex
from iterqr_server.engine.packing import pack, synthetic_step
from iterqr_server.engine.sampler import Verdict, log_probabilities, verify
from iterqr_server.engine.scheduler import StepPlan, add_drafts, plan_step
from iterqr_server.engine.sequence import Sequence
from iterqr_server.engine.settings import EngineSettings
from iterqr_server.engine.stream import GenerationStream
from iterqr_server.engine.tokenizer import PromptTokenizer

_T = TypeVar("_T")
_Result = Verdict | tuple[float, ...] | None
_PREFIX_ENCODINGS = 16
_MEASURED_PAST = 512  # positions that the steps attend to with which the cost curve is measured


@dataclass(slots=True)
class _Generation:
    """A request from `submit` to its last chunk."""

    sequence: Sequence
    stream: GenerationStream
    detokenizer: Detokenizer = field(default_factory=Detokenizer)


@dataclass(slots=True)
class _Scoring:
    """One prompt of a `ScoreRequest` until its answers' probabilities are known."""

    sequence: Sequence
    result: asyncio.Future[tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class _Prefix:
    """A prompt's shared beginning: its tokens, and what they say about what follows what."""

    token_ids: tuple[int, ...]
    index: NgramIndex


@dataclass(slots=True)
class _Counters:
    steps: int = 0
    rows: int = 0
    draft_rows: int = 0
    generated_tokens: int = 0
    plan_seconds: float = 0.0
    model_seconds: float = 0.0
    sample_seconds: float = 0.0
    step_seconds: float = 0.0


class ContinuousBatchingEngine:
    """A `GenerationEngine` over a `StepExecutor`.

    `open_executor` loads the model; it is called on the step thread by `start`. Prompts share the computed blocks of
    their common beginnings. Without `guides`, outputs are free whatever a request's guide says. `curve` says what steps
    cost, for deciding how much to guess ahead; without it, it is measured at start.
    """

    def __init__(
        self,
        *,
        model_id: str,
        tokenizer: PromptTokenizer,
        open_executor: Callable[[], StepExecutor],
        settings: EngineSettings,
        guides: Guides | None = None,
        curve: CostCurve | None = None,
    ) -> None:
        self._model_id = model_id
        self._tokenizer = tokenizer
        self._open_executor = open_executor
        self._settings = settings
        self._guides = guides
        self._curve = curve
        self._read_prefix = lru_cache(maxsize=_PREFIX_ENCODINGS)(partial(_encode_prefix, tokenizer))
        self._batch = Batch(settings)
        self._admission = AdmissionControl(settings)
        self._drafter = Drafter()
        self._executor: StepExecutor | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine-step")
        self._live: dict[str, _Generation | _Scoring] = {}
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
            self._executor = executor = await self._on_step_thread(self._open_executor)
            if self._curve is None:
                self._curve = await self._on_step_thread(lambda: self._measure(executor))
            self._admission.start(self._curve)
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
        self._batch.start_waiting()
        self._admission.check_queue(self._batch, 1)
        sequence = self._sequence(request)
        self._check_fits(sequence)
        self._admission.check_deadline(self._batch, (sequence,), sequence.arrived)
        stream = GenerationStream(on_close=lambda: self._abort(live))
        live = _Generation(sequence, stream)
        self._begin(live)
        return stream

    async def score(self, request: ScoreRequest) -> tuple[tuple[float, ...], ...]:
        """See `GenerationEngine`.

        Raises:
            EngineFatalError: the model failed before or meanwhile; besides what the interface names.
            ValueError: a prompt is empty, there are no answers, one is not a single token, or `request_id` is in use.
        """
        self._check_usable()
        self._batch.start_waiting()
        self._admission.check_queue(self._batch, len(request.prompts))
        sequences = self._score_sequences(request)
        for sequence in sequences:
            self._check_fits(sequence)
        if sequences:
            self._admission.check_deadline(self._batch, sequences, sequences[0].arrived)
        loop = asyncio.get_running_loop()
        scorings = [_Scoring(sequence, loop.create_future()) for sequence in sequences]
        for scoring in scorings:
            self._begin(scoring)
        try:
            return tuple(await asyncio.gather(*(scoring.result for scoring in scorings)))
        finally:
            for scoring in scorings:
                self._abort(scoring)

    def note_first_result(self, request_id: str, tokens: int) -> float | None:
        """See `GenerationEngine`."""
        live = self._live.get(request_id)
        if live is None:
            return None
        return self._admission.first_result(live.sequence, tokens, asyncio.get_running_loop().time())

    def abort(self, request_id: str) -> None:
        """See `GenerationEngine`. Blocks are free before the next step is planned."""
        live = self._live.get(request_id)
        if live is not None:
            self._abort(live)

    def stats(self) -> EngineStats:
        """See `GenerationEngine`. Positions used include kept prompts and what running requests reserved."""
        admission = self._admission.counters
        pool, counters, drafts = self._batch.cache.pool, self._counters, self._drafter.counters
        return EngineStats(
            running=len(self._batch.running),
            waiting=len(self._batch.waiting),
            kv_positions_used=pool.held_positions,
            kv_positions_limit=pool.total_blocks * pool.block_positions,
            steps_total=counters.steps,
            rows_total=counters.rows,
            draft_rows_total=counters.draft_rows,
            prompt_tokens_total=self._batch.prompt_tokens,
            prefix_tokens_reused_total=self._batch.prompt_tokens_reused,
            generated_tokens_total=counters.generated_tokens,
            step_seconds_total=counters.step_seconds,
            plan_seconds_total=counters.plan_seconds,
            model_seconds_total=counters.model_seconds,
            sample_seconds_total=counters.sample_seconds,
            admitted_total=admission.admitted,
            refused_queue_full_total=admission.queue_full,
            refused_deadline_total=admission.deadline_unreachable,
            expired_total=admission.expired,
            drafts=tuple(DraftSourceStats(name, drafts.proposed[name], drafts.accepted[name]) for name in SOURCES),
        )

    async def close(self) -> None:
        """See `GenerationEngine`. Returns when the step under way has ended."""
        if self._closed:
            return
        self._closed = True
        for live in list(self._live.values()):
            if isinstance(live, _Generation):
                self._abort(live)
            else:
                self._fail(live, EngineClosedError("the engine was closed"))
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
        started = time.perf_counter()
        plan = self._schedule()
        if not plan.chunks:
            return False
        step = pack(plan)
        planned = time.perf_counter()
        results = await self._on_step_thread(lambda: self._compute(executor, plan, step))
        self._counters.steps += 1
        self._counters.rows += plan.rows
        self._counters.draft_rows += sum(len(chunk.tree) for chunk in plan.chunks)
        self._counters.plan_seconds += planned - started
        self._postprocess(plan, results)
        seconds = time.perf_counter() - started
        self._counters.step_seconds += seconds
        tokens = [len(result.samples) if isinstance(result, Verdict) else 0 for result in results]
        self._admission.step_ended(plan, tokens, seconds)
        return True

    def _schedule(self) -> StepPlan:
        """Starts waiting requests that fit and plans the next step."""
        self._drop_expired()
        self._batch.start_waiting()
        settings = self._settings
        running = self._batch.by_urgency(asyncio.get_running_loop().time())
        plan = plan_step(running, settings.max_step_rows, settings.block_positions)
        if self._curve is None:
            return plan
        return add_drafts(plan, self._curve, max_rows=settings.max_step_rows, max_tree_rows=settings.max_draft_rows)

    def _compute(self, executor: StepExecutor, plan: StepPlan, step: PackedStep) -> list[_Result]:
        """Runs the model and reads its logits, on the step thread. Returns a result for each chunk of the plan."""
        started = time.perf_counter()
        logits = executor.run(step)
        ran = time.perf_counter()
        results: list[_Result] = []
        row = 0
        for chunk in plan.chunks:
            if not chunk.wants_logits:
                results.append(None)
                continue
            sequence, rows = chunk.sequence, 1 + len(chunk.tree)
            if sequence.answer_ids:
                results.append(log_probabilities(logits[row], sequence.answer_ids, executor.output_ids))
            else:
                left = sequence.max_new_tokens - sequence.generated
                some, stop_ids = logits[row : row + rows], self._tokenizer.stop_ids
                results.append(verify(some, chunk.tree, sequence.guide, stop_ids, left, executor.output_ids))
            row += rows
        self._counters.model_seconds += ran - started
        self._counters.sample_seconds += time.perf_counter() - ran
        return results

    def _postprocess(self, plan: StepPlan, results: list[_Result]) -> None:
        """Keeps what was computed and hands out what is new, except for requests that ended meanwhile."""
        for chunk, result in zip(plan.chunks, results, strict=True):
            accepted = result.accepted if isinstance(result, Verdict) else ()
            rows = [*range(chunk.count), *(chunk.count + row for row in accepted)]
            chunk.lease.keep(chunk.start, rows)
            sequence = chunk.sequence
            live = self._live.get(sequence.request_id)
            if live is None or live.sequence is not sequence:
                continue
            if isinstance(live, _Generation) and isinstance(result, Verdict):
                if sequence.drafts is not None:
                    sequence.drafts.advance([s.token_id for s in result.samples], chunk.tree, accepted)
                self._advance(live, result)
            elif isinstance(live, _Scoring) and isinstance(result, tuple):
                self._leave(live)
                if not live.result.done():  # cancelled, and its caller has not run since
                    live.result.set_result(result)

    def _advance(self, live: _Generation, verdict: Verdict) -> None:
        """Hands out a request's new tokens, one a chunk, so that a chunk's probability belongs to its text alone."""
        sequence = live.sequence
        sequence.token_ids += [sample.token_id for sample in verdict.samples]
        self._counters.generated_tokens += len(verdict.samples)
        is_full = sequence.generated >= sequence.max_new_tokens
        reason = FinishReason.STOP if verdict.is_end else FinishReason.LENGTH if is_full else None
        if reason is not None:
            self._leave(live)
            self._admission.request_ended(sequence, is_aborted=False)
            if sequence.drafts is not None:
                self._drafter.remember(
                    sequence.token_ids[: sequence.prompt_length], sequence.token_ids[sequence.prompt_length :]
                )
        for number, sample in enumerate(verdict.samples, 1):
            is_last = reason is not None and number == len(verdict.samples)
            text = live.detokenizer.feed(self._tokenizer.token_bytes(sample.token_id))
            live.stream.put(
                GenerationChunk(
                    text=text + live.detokenizer.finish() if is_last else text,
                    token_ids=(sample.token_id,),
                    logprobs=(sample.logprob,),
                    finish_reason=reason if is_last else None,
                    prompt_tokens=sequence.prompt_length,
                )
            )
        if reason is not None and not verdict.samples:
            live.stream.put(GenerationChunk(live.detokenizer.finish(), (), (), reason))

    def _begin(self, live: _Generation | _Scoring) -> None:
        """Takes in a request that fits, and starts it if there is room now."""
        self._live[live.sequence.request_id] = live
        self._batch.push(live.sequence)
        self._batch.start_waiting()
        self._work.set()

    def _leave(self, live: _Generation | _Scoring) -> None:
        """Takes a request out of the engine and frees what it holds."""
        del self._live[live.sequence.request_id]
        self._batch.remove(live.sequence)
        self._work.set()

    def _abort(self, live: _Generation | _Scoring) -> None:
        """Ends a request unless it has ended; its name may be another's by now."""
        if self._live.get(live.sequence.request_id) is not live:
            return
        self._leave(live)
        self._admission.request_ended(live.sequence, is_aborted=True)
        if isinstance(live, _Generation):
            live.stream.put(GenerationChunk("", (), (), FinishReason.ABORTED))
        else:
            live.result.cancel()

    def _die(self, error: Exception) -> None:
        self._fatal = error
        for live in list(self._live.values()):
            fatal = EngineFatalError(f"the model runner failed: {error}")
            fatal.__cause__ = error
            self._fail(live, fatal)

    def _check_usable(self) -> None:
        if self._fatal is not None:
            raise EngineFatalError(f"the model runner failed: {self._fatal}") from self._fatal
        if self._closed or self._executor is None:
            raise EngineClosedError("the engine is closed" if self._closed else "the engine has not been started")

    def _drop_expired(self) -> None:
        """Fails waiting requests whose deadline has passed."""
        now = asyncio.get_running_loop().time()
        for sequence in self._batch.waiting.expired(now):
            self._admission.counters.expired += 1
            self._fail(self._live[sequence.request_id], DeadlineExpiredError(now - sequence.arrived))

    def _fail(self, live: _Generation | _Scoring, error: Exception) -> None:
        self._leave(live)
        if isinstance(live, _Generation):
            live.stream.fail(error)
        elif not live.result.done():
            live.result.set_exception(error)

    def _prompt_ids(self, prompt: Prompt) -> tuple[int, ...]:
        token_ids = self._read_prefix(prompt.prefix).token_ids + self._tokenizer.encode(prompt.suffix)
        if not token_ids:
            raise ValueError("prompt: must not be empty")
        return token_ids

    def _sequence(self, request: GenerationRequest) -> Sequence:
        prompt_ids = self._prompt_ids(request.prompt)
        guided = self._guides if request.guide else None
        return Sequence(
            request.request_id,
            prompt_ids,
            request.max_new_tokens,
            guide=None if guided is None else guided.open(request.guide, request.distinct),
            drafts=self._drafts(request, prompt_ids) if self._settings.max_draft_rows else None,
            tenant=request.tenant,
            deadline=request.deadline,
            arrived=asyncio.get_running_loop().time(),
        )

    def _drafts(self, request: GenerationRequest, prompt_ids: tuple[int, ...]) -> DraftSession:
        prefix = self._read_prefix(request.prompt.prefix)
        texts = [self._tokenizer.encode((Segment(text, is_data=True),)) for text in request.drafts]
        return self._drafter.open(prompt_ids[len(prefix.token_ids) :], texts, prefix.index)

    def _score_sequences(self, request: ScoreRequest) -> list[Sequence]:
        answers = [self._tokenizer.encode((Segment(answer, is_data=True),)) for answer in request.answers]
        for answer, token_ids in zip(request.answers, answers, strict=True):
            if len(token_ids) != 1:
                raise ValueError(f"answers: {answer!r} is {len(token_ids)} tokens, must be one")
        if not answers:
            raise ValueError("answers: must not be empty")
        names = [f"{request.request_id}/{number}" for number in range(len(request.prompts))]
        if any(name in self._live for name in names):
            raise ValueError(f"request_id: {request.request_id!r} is in use")
        return [
            Sequence(
                name,
                self._prompt_ids(prompt),
                0,
                answer_ids=tuple(token_ids for (token_ids,) in answers),
                tenant=request.tenant,
                deadline=request.deadline,
                arrived=asyncio.get_running_loop().time(),
            )
            for name, prompt in zip(names, request.prompts, strict=True)
        ]

    def _check_fits(self, sequence: Sequence) -> None:
        """Raises PromptTooLongError if `sequence` could not run even in an empty engine."""
        pool = self._batch.cache.pool
        context = self._executor.max_positions if self._executor is not None else sequence.max_positions
        if sequence.max_positions > context:
            raise PromptTooLongError(sequence.max_positions, context)
        blocks = self._batch.blocks_needed(sequence)
        if blocks > pool.total_blocks:
            raise PromptTooLongError(blocks * pool.block_positions, pool.total_blocks * pool.block_positions)

    def _measure(self, executor: StepExecutor) -> CostCurve:
        """Measures what steps cost while the arena is still empty. Slots are written that nobody holds yet."""
        past = min(_MEASURED_PAST, executor.arena_positions, executor.max_positions) - self._settings.max_step_rows

        def run(rows: int) -> float:
            step = synthetic_step(rows, max(0, past))
            started = time.perf_counter()
            executor.run(step)
            return time.perf_counter() - started

        return calibrate(run, self._settings.max_step_rows)

    async def _on_step_thread(self, function: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)


def _encode_prefix(tokenizer: PromptTokenizer, segments: tuple[Segment, ...]) -> _Prefix:
    """A function apart from the engine, so that its cache does not keep a closed engine in memory."""
    token_ids = tokenizer.encode(segments)
    index = NgramIndex()
    index.add(token_ids)
    return _Prefix(token_ids, index)
