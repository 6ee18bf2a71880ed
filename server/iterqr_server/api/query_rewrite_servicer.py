"""QueryRewriteService over `RewriteService`."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from grpc import aio
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2_grpc as pb_grpc
from iterqr_proto.rewrite_format import FORMAT_VERSION
from opentelemetry import trace

from iterqr_server.api.not_available import not_available
from iterqr_server.api.validation import ValidRequest, validate
from iterqr_server.config import RewriteConfig
from iterqr_server.rewrite.guard import rewrite_id
from iterqr_server.rewrite.service import Outcome, RewriteCall, RewriteResult, RewriteService, Source
from iterqr_server.telemetry.metrics import Metrics

_OUTCOMES = {
    Outcome.COMPLETE: pb.OUTCOME_COMPLETE,
    Outcome.PARTIAL: pb.OUTCOME_PARTIAL,
    Outcome.NO_REWRITES: pb.OUTCOME_NO_REWRITES,
}
_SOURCES = {
    Source.GENERATED: pb.SOURCE_GENERATED,
    Source.CACHE: pb.SOURCE_CACHE,
    Source.COALESCED: pb.SOURCE_COALESCED,
}


class QueryRewriteServicer(pb_grpc.QueryRewriteServiceServicer):
    """Translates between messages and the use case; `CallInterceptor` does the rest."""

    def __init__(self, service: RewriteService, config: RewriteConfig, metrics: Metrics, log_queries: bool) -> None:
        self._service = service
        self._config = config
        self._metrics = metrics
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
        result = await self._service.rewrite(
            RewriteCall(
                query=valid.query,
                region=valid.region,
                tenant=valid.tenant,
                max_rewrites=valid.max_rewrites,
                deadline=arrived + remaining_s,
            )
        )
        total_us = round((loop.time() - arrived) * 1e6)
        self._note(result, total_us)
        request_id = structlog.contextvars.get_contextvars()["request_id"]
        return to_reply(result, request_id=request_id, total_us=total_us)

    RewriteQueries = not_available("RewriteQueries")
    ScoreRewrites = not_available("ScoreRewrites")

    def _log_request(self, valid: ValidRequest) -> None:
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


def to_reply(result: RewriteResult, *, request_id: str, total_us: int) -> pb.RewriteQueryResponse:
    """Returns the message for a result."""
    output = result.output
    return pb.RewriteQueryResponse(
        request_id=request_id,
        outcome=_OUTCOMES[result.outcome],
        source=_SOURCES[result.source],
        chain_of_thought=pb.ChainOfThought(fix=output.fix, intent=output.intent, meaning=output.meaning),
        rewrites=[
            pb.Rewrite(
                rewrite_id=rewrite_id(result.checkpoint_id, result.query, rewrite.text),
                text=rewrite.text,
                confidence=rewrite.confidence,
            )
            for rewrite in output.rewrites
        ],
        checkpoint_id=result.checkpoint_id,
        format_version=FORMAT_VERSION,
        hints_version=result.hints_version,
        hints=result.hints,
        timings=pb.Timings(
            total_us=total_us,
            hints_us=result.hints_us,
            first_token_us=result.first_token_us,
            generation_us=result.generation_us,
        ),
        token_usage=pb.TokenUsage(prompt_tokens=result.prompt_tokens, generated_tokens=result.generated_tokens),
    )
