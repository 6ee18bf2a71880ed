"""One RewriteQueries stream: every item gets its answer, which may be how it failed."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict

import grpc
import structlog
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from opentelemetry import trace
from opentelemetry.context import Context

from iterqr_server.api.decoding import Undecodable
from iterqr_server.api.replies import rewrite_reply
from iterqr_server.api.status import to_status
from iterqr_server.api.validation import InvalidFieldError, require_request_id, validate
from iterqr_server.rewrite.bulk import BulkRewriter
from iterqr_server.rewrite.service import RewriteCall
from iterqr_server.telemetry.metrics import Metrics

REMEMBERED_IDS = 65_536
_log = structlog.get_logger(__name__)


class BulkStream:
    """The state of one stream. `answer` is called in the order of the items.

    Each item has a trace of its own, linked to the stream's: a stream may have more items than a trace should have
    spans.
    """

    def __init__(
        self, rewriter: BulkRewriter, metrics: Metrics, tracer: trace.Tracer, default_max_rewrites: int
    ) -> None:
        self._rewriter = rewriter
        self._metrics = metrics
        self._tracer = tracer
        self._default_max_rewrites = default_max_rewrites
        self._link = trace.Link(trace.get_current_span().get_span_context())
        self._ids: OrderedDict[str, None] = OrderedDict()
        self.outcomes: Counter[str] = Counter()

    async def answer(self, item: pb.RewriteQueriesRequest | Undecodable) -> pb.RewriteQueriesResponse:
        """Returns an item's answer.

        Raises what makes the server unavailable: then no other item has a chance either.
        """
        request = pb.RewriteQueryRequest() if isinstance(item, Undecodable) else item.request
        with (
            self._metrics.bulk_in_flight.track_inprogress(),
            self._tracer.start_as_current_span(
                "RewriteQueries item",
                context=Context(),
                links=[self._link],
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
        ):
            try:
                if isinstance(item, Undecodable):
                    raise item.reason
                self._take_id(request.request_id)
                span.set_attribute("iterqr.request_id", request.request_id)
                structlog.contextvars.bind_contextvars(item_id=request.request_id)
                response = await self._rewrite(request)
            except Exception as error:
                return self._failure(request.request_id, error)
            outcome = pb.Outcome.Name(response.outcome).removeprefix("OUTCOME_").lower()
            self._count(outcome)
            return pb.RewriteQueriesResponse(request_id=request.request_id, response=response)

    async def _rewrite(self, request: pb.RewriteQueryRequest) -> pb.RewriteQueryResponse:
        loop = asyncio.get_running_loop()
        arrived = loop.time()
        valid = validate(request, self._default_max_rewrites)
        call = RewriteCall(
            query=valid.query,
            region=valid.region,
            tenant=valid.tenant,
            max_rewrites=valid.max_rewrites,
            deadline=None,
            is_bulk=True,
            sticky_key=request.client_id_hash or request.request_id,
        )
        result = await self._rewriter.rewrite(call)
        total_us = round((loop.time() - arrived) * 1e6)
        return rewrite_reply(result, request_id=request.request_id, total_us=total_us)

    def _take_id(self, request_id: str) -> None:
        if require_request_id(request_id) in self._ids:
            raise InvalidFieldError("request_id", "must be unique within the stream")
        self._ids[request_id] = None
        if len(self._ids) > REMEMBERED_IDS:
            self._ids.popitem(last=False)

    def _failure(self, request_id: str, error: Exception) -> pb.RewriteQueriesResponse:
        status = to_status(error)
        if status.code is grpc.StatusCode.UNAVAILABLE:
            raise error
        if status.code is grpc.StatusCode.INTERNAL:
            _log.error("item_failed", exc_info=error)
        trace.get_current_span().set_status(trace.StatusCode.ERROR, type(error).__name__)
        self._count(status.code.name.lower())
        failure = pb.RewriteFailure(code=status.code.value[0], message=status.details)
        return pb.RewriteQueriesResponse(request_id=request_id, failure=failure)

    def _count(self, outcome: str) -> None:
        self.outcomes[outcome] += 1
        self._metrics.bulk_items.labels(outcome).inc()
