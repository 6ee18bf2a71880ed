"""The use case: one query in, its rewrites out, before the deadline.

cache -> single flight -> hints -> prompt -> engine -> lines -> guard -> reply. Every finished `rw:` line is usable, so
at the deadline the rewrites so far are the reply; the generation goes on and its result is cached.
"""

from __future__ import annotations

import asyncio
import enum
import itertools
from dataclasses import dataclass

import structlog
from iterqr_proto.rewrite_format import FORMAT_VERSION, RewriteInput, normalize_query, render
from opentelemetry import trace

from iterqr_server.config import CacheConfig, RewriteConfig
from iterqr_server.engine.errors import (
    DeadlineExpiredError,
    DeadlineUnreachableError,
    EngineClosedError,
    EngineError,
    EngineFatalError,
    EngineOverloadedError,
    PromptTooLongError,
    QueueFullError,
    RequestRefusedError,
)
from iterqr_server.engine.interface import FinishReason
from iterqr_server.hints.interface import Hints, HintSource
from iterqr_server.rewrite.errors import NothingInTimeError, NotReadyError, RewriteError, ShuttingDownError
from iterqr_server.rewrite.generation_progress import GenerationProgress
from iterqr_server.rewrite.generation_request import generation_request
from iterqr_server.rewrite.output_builder import Output
from iterqr_server.rewrite.result_cache import CachedResult, CacheKey, ResultCache
from iterqr_server.rewrite.served_model import CallReport, Models, ServedModel
from iterqr_server.rewrite.single_flight import Flight, FlightEnd, SingleFlight
from iterqr_server.telemetry.metrics import Metrics

_BULK_SHARE = "bulk:"  # before the tenant's name: its bulk traffic takes nothing of its interactive share
_REFUSALS = {
    QueueFullError: "queue_full",
    DeadlineUnreachableError: "deadline_unreachable",
    DeadlineExpiredError: "deadline_expired",
}
_log = structlog.get_logger(__name__)


class Source(enum.Enum):
    """Where a result came from."""

    GENERATED = "generated"
    CACHE = "cache"
    COALESCED = "coalesced"


class Outcome(enum.Enum):
    """How a call ended that has a result."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    NO_REWRITES = "no_rewrites"


@dataclass(frozen=True, slots=True)
class RewriteCall:
    """A valid call. `query` is not empty after cleaning; `deadline` is a time of the event loop's clock.

    A call of bulk generation runs in a share of the engine of its own, and its generation ends with its caller.
    `sticky_key` decides which model takes it where several serve.
    """

    query: str
    region: str
    tenant: str
    max_rewrites: int
    deadline: float | None
    is_bulk: bool = False
    sticky_key: str = ""


@dataclass(frozen=True, slots=True)
class RewriteResult:
    """What a call gets. Durations are zero where the stage was not part of this call."""

    outcome: Outcome
    source: Source
    output: Output
    checkpoint_id: str
    query: str
    hints: tuple[str, ...]
    hints_version: str
    policy_json: str = ""
    hints_us: int = 0
    first_token_us: int = 0
    generation_us: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0


class RewriteService:
    """Rewrites queries on the `models`. All methods are called on the event loop's thread."""

    def __init__(
        self,
        *,
        config: RewriteConfig,
        cache_config: CacheConfig,
        models: Models,
        hints: HintSource,
        metrics: Metrics,
        tracer: trace.Tracer,
    ) -> None:
        self._config = config
        self._cache_config = cache_config
        self._models = models
        self._hints = hints
        self._metrics = metrics
        self._tracer = tracer
        self._cache = ResultCache(cache_config.max_entries)
        self._flights: SingleFlight[GenerationProgress] = SingleFlight(
            config.max_background, config.max_background_ms / 1000, self._count_end
        )
        self._request_numbers = itertools.count(1)

    async def rewrite(self, call: RewriteCall) -> RewriteResult:
        """Returns the rewrites of one query, `reply_margin_ms` before the deadline, if it has one, at the latest.

        A bulk call joins any generation of its query. An interactive one joins no bulk generation, which may still be
        waiting behind all others. The engine is told the latest deadline of the calls that joined before it got the
        request: it orders, refuses and drops waiting requests by it, but never cuts a generation that has started.

        A call whose model breaks or is closed under it is answered by whichever champion serves then.

        Raises:
            NotReadyError: the model is not warm yet.
            NothingInTimeError: no rewrite was complete at the deadline.
            ShuttingDownError: the server stops.
            EngineError: what the engine raised; EngineOverloadedError at once, not at the deadline.
        """
        model = self._models.pick(call.sticky_key)
        while True:
            try:
                return await self._rewrite_on(model, call)
            except (EngineFatalError, EngineClosedError):
                champion = self._models.champion()
                if champion is model:
                    raise
                model = champion

    async def _rewrite_on(self, model: ServedModel, call: RewriteCall) -> RewriteResult:
        """Returns the rewrites that one model has for the query, and reports how that went."""
        with model.used():
            key = self._key(call, model)
            cached = self._cache.get(key)
            self._metrics.cache.labels("hit" if cached else "miss").inc()
            if cached:
                return _cached_result(key, cached, model)
            loop = asyncio.get_running_loop()
            started = loop.time()
            try:
                result = await self._generated_result(model, key, call)
            except (NotReadyError, ShuttingDownError, PromptTooLongError, RequestRefusedError, EngineClosedError):
                raise  # not the model's doing
            except (RewriteError, EngineError):
                self._report(model, call, loop.time() - started, None)
                raise
            self._report(model, call, loop.time() - started, result)
            return result

    async def _generated_result(self, model: ServedModel, key: CacheKey, call: RewriteCall) -> RewriteResult:
        deadline = self._reply_by(call)
        while True:
            flight = self._flights.find((key, False)) or (self._flights.find((key, True)) if call.is_bulk else None)
            source = Source.COALESCED if flight else Source.GENERATED
            flight = flight or self._flights.start(
                (key, call.is_bulk),
                GenerationProgress(key, model),
                lambda progress: self._generate(model, progress, call),
                outlives_waiters=not call.is_bulk,
            )
            flight.progress.wanted_by(deadline)
            try:
                return await self._await_flight(flight, source, deadline, model)
            except DeadlineExpiredError:
                if deadline is not None and deadline <= asyncio.get_running_loop().time():
                    raise
                # it waited for the engine until an earlier caller's deadline; this call has time left
            except (EngineFatalError, EngineClosedError):
                if flight.progress.model is model:
                    raise
                # it ran on an engine of the same checkpoint that is gone; this call has another

    def _report(self, model: ServedModel, call: RewriteCall, seconds: float, result: RewriteResult | None) -> None:
        if call.is_bulk:  # it waits behind all others: its times say nothing of the model
            return
        whole = result is not None and result.source is Source.GENERATED and result.outcome is not Outcome.PARTIAL
        output = result.output if result is not None and whole else None
        self._models.report(model, CallReport(normalize_query(call.query), seconds, result is None, output))

    def _reply_by(self, call: RewriteCall) -> float | None:
        """Returns the time of the event loop's clock after which more output is of no use to the caller."""
        return None if call.deadline is None else call.deadline - self._config.reply_margin_ms / 1000

    def gauges(self) -> dict[str, float]:
        """Returns this moment's values for the metrics endpoint; names ending in `_total` only grow."""
        return {
            "iterqr_cache_entries": len(self._cache),
            "iterqr_generations_running": self._flights.running,
            "iterqr_generations_background": self._flights.background,
        }

    async def close(self) -> None:
        """Gives up what is running. Called when the `models` serve no more."""
        await self._flights.close()

    def _key(self, call: RewriteCall, model: ServedModel) -> CacheKey:
        return CacheKey(
            tenant=call.tenant,
            region=call.region,
            checkpoint_id=model.checkpoint_id,
            format_version=FORMAT_VERSION,
            hints_version=self._hints.version,
            query=normalize_query(call.query),
            max_rewrites=call.max_rewrites,
        )

    async def _await_flight(
        self, flight: Flight[GenerationProgress], source: Source, deadline: float | None, model: ServedModel
    ) -> RewriteResult:
        loop = asyncio.get_running_loop()
        arrived = loop.time()
        complete = await self._flights.wait(flight, None if deadline is None else deadline - arrived)
        if flight.task.cancelled():
            raise ShuttingDownError
        progress = flight.progress
        output = progress.output
        if not complete and not output.rewrites:
            raise NothingInTimeError((loop.time() - arrived) * 1000)
        hints = progress.hints
        return RewriteResult(
            outcome=_finished_outcome(output) if complete else Outcome.PARTIAL,
            source=source,
            output=output,
            checkpoint_id=progress.key.checkpoint_id,
            query=progress.key.query,
            hints=hints.titles,
            hints_version=progress.key.hints_version if hints.titles else "",
            policy_json=model.policy_json,
            hints_us=progress.hints_us,
            first_token_us=progress.first_token_us,
            generation_us=progress.generation_us(loop.time()),
            prompt_tokens=progress.prompt_tokens,
            generated_tokens=progress.generated_tokens,
        )

    async def _generate(self, model: ServedModel, progress: GenerationProgress, call: RewriteCall) -> None:
        """The job of a flight."""
        with model.used():
            try:
                await self._fill_cache(model, progress, call)
            except EngineFatalError as error:
                self._models.broken(model, error)
                raise

    async def _fill_cache(self, model: ServedModel, progress: GenerationProgress, call: RewriteCall) -> None:
        """Everything between the cache's miss and its filling."""
        loop = asyncio.get_running_loop()
        key = progress.key
        with self._tracer.start_as_current_span("hints") as span:
            started = loop.time()
            hints = await self._hints.read(key.region, key.query)
            progress.read_hints(hints, loop.time() - started)
            span.set_attribute("iterqr.hints.outcome", hints.outcome.value)
            span.set_attribute("iterqr.hints.count", len(hints.titles))
        self._metrics.hints.labels(hints.outcome.value).inc()
        self._metrics.stage_seconds.labels("hints").observe(progress.hints_us / 1e6)
        with self._tracer.start_as_current_span("generation") as span:
            await self._run_engine(model, progress, RewriteInput(key.query, hints.titles), call)
            span.set_attribute("iterqr.generation.tokens", progress.generated_tokens)
        for reason, count in progress.rejected.items():
            self._metrics.rejected.labels(reason).inc(count)
        self._metrics.stage_seconds.labels("first_token").observe(progress.first_token_us / 1e6)
        self._metrics.stage_seconds.labels("generation").observe(progress.generation_us(loop.time()) / 1e6)
        self._keep(key, progress.output, hints)

    async def _run_engine(
        self, model: ServedModel, progress: GenerationProgress, source: RewriteInput, call: RewriteCall
    ) -> None:
        loop = asyncio.get_running_loop()
        engine = model.engine
        request = generation_request(
            f"rewrite-{next(self._request_numbers)}",
            source,
            render(model.template, source),
            max_rewrites=progress.key.max_rewrites,
            max_new_tokens=self._config.max_new_tokens,
            tenant=_BULK_SHARE + call.tenant if call.is_bulk else call.tenant,
            deadline=progress.deadline,
            min_rewrites=self._config.min_rewrites,
        )
        progress.submitted(loop.time())
        stream = engine.submit(request)
        try:
            async for chunk in stream:
                if chunk.finish_reason is FinishReason.ABORTED:
                    raise EngineClosedError("the engine was closed during the generation")
                had_rewrite = progress.first_rewrite_tokens > 0
                progress.feed(chunk, loop.time())
                if progress.first_rewrite_tokens and not had_rewrite:
                    late_s = engine.note_first_result(request.request_id, progress.first_rewrite_tokens)
                    if late_s is not None:
                        self._metrics.estimate_error_seconds.observe(late_s)
                if progress.is_full:
                    break
        finally:
            engine.abort(request.request_id)
        progress.ended(loop.time())

    def _keep(self, key: CacheKey, output: Output, hints: Hints) -> None:
        degraded = hints.outcome.is_failure
        ttl_s = self._cache_config.degraded_ttl_s if degraded else self._cache_config.ttl_s
        version = key.hints_version if hints.titles else ""
        self._cache.put(key, CachedResult(output, hints.titles, version), ttl_s)

    def _count_end(self, end: FlightEnd, error: BaseException | None) -> None:
        self._metrics.generations.labels(end.value).inc()
        if isinstance(error, EngineOverloadedError | DeadlineExpiredError):  # normal under load: counted, not logged
            self._metrics.refused.labels(_REFUSALS.get(type(error), "overloaded")).inc()
        elif error:
            _log.warning("generation_failed", error=type(error).__name__, reason=str(error))


def _finished_outcome(output: Output) -> Outcome:
    return Outcome.COMPLETE if output.rewrites else Outcome.NO_REWRITES


def _cached_result(key: CacheKey, cached: CachedResult, model: ServedModel) -> RewriteResult:
    return RewriteResult(
        outcome=_finished_outcome(cached.output),
        source=Source.CACHE,
        output=cached.output,
        checkpoint_id=key.checkpoint_id,
        query=key.query,
        hints=cached.hints,
        hints_version=cached.hints_version,
        policy_json=model.policy_json,
    )
