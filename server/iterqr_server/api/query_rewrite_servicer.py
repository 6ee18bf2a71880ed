"""QueryRewriteService over the use cases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import structlog
from grpc import aio
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2_grpc as pb_grpc
from opentelemetry import trace

from iterqr_server.api.bulk_stream import BulkStream
from iterqr_server.api.decoding import Undecodable
from iterqr_server.api.replies import rewrite_reply, scores_reply
from iterqr_server.api.validation import ValidRequest, ValidScoring, validate, validate_scoring
from iterqr_server.config import RewriteConfig
from iterqr_server.rewrite.bulk import BulkRewriter, answer_through_window
from iterqr_server.rewrite.scoring import RewriteScorer, ScoreCall
from iterqr_server.rewrite.service import RewriteCall, RewriteResult, RewriteService
from iterqr_server.telemetry.metrics import Metrics


class QueryRewriteServicer(pb_grpc.QueryRewriteServiceServicer):
    """Translates between messages and the use case; `CallInterceptor` does the rest."""

    def __init__(
        self,
        *,
        service: RewriteService,
        scorer: RewriteScorer,
        config: RewriteConfig,
        max_bulk_in_flight: int,
        metrics: Metrics,
        tracer: trace.Tracer,
        log_queries: bool,
    ) -> None:
        self._service = service
        self._scorer = scorer
        self._bulk = BulkRewriter(service, metrics, max_bulk_in_flight)
        self._config = config
        self._max_bulk_in_flight = max_bulk_in_flight
        self._metrics = metrics
        self._tracer = tracer
        self._log_queries = log_queries

    async def RewriteQuery(  # noqa: N802 - the contract's name
        self, request: pb.RewriteQueryRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.RewriteQueryResponse:
        """See the contract."""
        loop = asyncio.get_running_loop()
        arrived = loop.time()
        valid = validate(request, self._config.max_rewrites)
        self._log_request(valid)
        remaining_s = _remaining_s(context)
        if remaining_s is None:
            remaining_s = self._config.default_deadline_ms / 1000
        request_id = structlog.contextvars.get_contextvars()["request_id"]
        result = await self._service.rewrite(
            RewriteCall(
                query=valid.query,
                region=valid.region,
                tenant=valid.tenant,
                max_rewrites=valid.max_rewrites,
                deadline=arrived + remaining_s,
                sticky_key=request.client_id_hash or request_id,
            )
        )
        total_us = round((loop.time() - arrived) * 1e6)
        self._note(result, total_us)
        return rewrite_reply(result, request_id=request_id, total_us=total_us, policy_json=result.policy_json)

    async def RewriteQueries(  # type: ignore[override]  # noqa: N802 - writes to the context, which the stub forgets
        self,
        requests: AsyncIterator[pb.RewriteQueriesRequest | Undecodable],
        context: aio.ServicerContext[Any, Any],
    ) -> None:
        """See the contract."""
        stream = BulkStream(self._bulk, self._metrics, self._tracer, self._config.max_rewrites)
        try:
            await answer_through_window(requests, stream.answer, context.write, self._max_bulk_in_flight)
        finally:
            structlog.contextvars.bind_contextvars(items=stream.outcomes.total(), outcomes=dict(stream.outcomes))

    async def ScoreRewrites(  # noqa: N802
        self, request: pb.ScoreRewritesRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ScoreRewritesResponse:
        """See the contract."""
        arrived = asyncio.get_running_loop().time()
        valid = validate_scoring(request)
        self._log_request(valid)
        structlog.contextvars.bind_contextvars(rewrites=len(valid.rewrites))
        remaining_s = _remaining_s(context)
        deadline = None if remaining_s is None else arrived + remaining_s
        return scores_reply(await self._scorer.score(ScoreCall(valid.query, valid.rewrites, valid.tenant, deadline)))

    def _log_request(self, valid: ValidRequest | ValidScoring) -> None:
        structlog.contextvars.bind_contextvars(query_chars=len(valid.query), region=valid.region, tenant=valid.tenant)
        if self._log_queries:
            structlog.contextvars.bind_contextvars(query=valid.query)

    def _note(self, result: RewriteResult, total_us: int) -> None:
        outcome, source = result.outcome.value, result.source.value
        self._metrics.rewrites.labels(outcome, source).inc()
        self._metrics.stage_seconds.labels("total").observe(total_us / 1e6)
        trace.get_current_span().set_attributes(
            {
                "iterqr.outcome": outcome,
                "iterqr.source": source,
                "iterqr.rewrites": len(result.output.rewrites),
                "iterqr.checkpoint_id": result.checkpoint_id,
            }
        )
        structlog.contextvars.bind_contextvars(
            outcome=outcome,
            source=source,
            checkpoint_id=result.checkpoint_id,
            rewrites=len(result.output.rewrites),
            hints=len(result.hints),
            hints_us=result.hints_us,
            first_token_us=result.first_token_us,
            generation_us=result.generation_us,
            generated_tokens=result.generated_tokens,
        )
        if self._log_queries:
            structlog.contextvars.bind_contextvars(rewrite_texts=[r.text for r in result.output.rewrites])


def _remaining_s(context: aio.ServicerContext[Any, Any]) -> float | None:
    """The call's own deadline; None if it has none, which the library's type does not say."""
    return context.time_remaining()
