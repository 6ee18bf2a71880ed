"""Wraps every call of our services: request id, trace, error codes, one log line, one count."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import structlog
from grpc import aio
from opentelemetry import trace

from iterqr_server.api.decoding import Undecodable, tolerant
from iterqr_server.api.status import to_status
from iterqr_server.api.validation import is_request_id
from iterqr_server.telemetry.metrics import Metrics
from iterqr_server.telemetry.traces import caller_context, current_trace_id

OUR_PACKAGE = "/iterqr."
REQUEST_ID = "x-request-id"
_log = structlog.get_logger(__name__)


class CallInterceptor(aio.ServerInterceptor):
    """See the module."""

    def __init__(self, *, tracer: trace.Tracer, metrics: Metrics) -> None:
        self._tracer = tracer
        self._metrics = metrics

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Called by gRPC for every call, before its request is read."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not method.startswith(OUR_PACKAGE):
            return handler
        if handler.unary_unary is None:
            return grpc.stream_stream_rpc_method_handler(
                self._stream(method, handler.stream_stream),
                request_deserializer=tolerant(handler.request_deserializer),
                response_serializer=handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            self._unary(method, handler.unary_unary),
            request_deserializer=tolerant(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    def _unary(self, method: str, serve: Callable[..., Any]) -> Callable[..., Any]:
        async def served(request: Any, context: aio.ServicerContext[Any, Any]) -> Any:  # noqa: ANN401
            async def answer() -> Any:  # noqa: ANN401 - a message of any of our types
                if isinstance(request, Undecodable):
                    raise request.reason
                return await serve(request, context)

            return await self._call(method, getattr(request, "request_id", ""), context, answer)

        return served

    def _stream(self, method: str, serve: Callable[..., Any] | None) -> Callable[..., Any]:
        """`serve` takes messages, some `Undecodable` maybe, and writes its replies to the context."""
        if serve is None:
            raise TypeError(f"{method}: only unary-unary and stream-stream methods are wrapped")

        async def served(requests: object, context: aio.ServicerContext[Any, Any]) -> None:
            async def answer() -> None:
                await serve(requests, context)

            await self._call(method, "", context, answer)

        return served

    async def _call(
        self,
        method: str,
        request_id: str,
        context: aio.ServicerContext[Any, Any],
        answer: Callable[[], Awaitable[Any]],
    ) -> Any:  # noqa: ANN401 - a message of any of our types
        """Runs one call to its reply or status."""
        metadata = [(key, value) for key, value in context.invocation_metadata() or ()]
        request_id = _choose_request_id(request_id, metadata)
        started = time.perf_counter()
        code = grpc.StatusCode.CANCELLED
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id, method=method.rpartition("/")[2])
        with self._tracer.start_as_current_span(
            method.removeprefix("/"),
            context=caller_context(metadata),
            kind=trace.SpanKind.SERVER,
            attributes={"rpc.system": "grpc", "iterqr.request_id": request_id},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            structlog.contextvars.bind_contextvars(trace_id=current_trace_id())
            context.set_trailing_metadata(((REQUEST_ID, request_id),))
            try:
                reply = await answer()
                code = grpc.StatusCode.OK
                return reply
            except asyncio.CancelledError:
                raise
            except Exception as error:
                status = to_status(error)
                code = status.code
                if status.code is grpc.StatusCode.INTERNAL:
                    _log.error("call_failed", exc_info=error)
                span.set_status(trace.StatusCode.ERROR, type(error).__name__)
                trailing = (*(status.trailing_metadata or ()), (REQUEST_ID, request_id))
                await context.abort(status.code, status.details, trailing)
            finally:
                span.set_attribute("rpc.grpc.status_code", code.value[0])
                self._metrics.calls.labels(method.rpartition("/")[2], code.name).inc()
                _log.info("call", code=code.name, total_us=round((time.perf_counter() - started) * 1e6))


def _choose_request_id(given: object, metadata: list[tuple[str, str | bytes]]) -> str:
    """The request's own id, else the caller's metadata, else a new one; malformed ones are not repeated."""
    candidates = [given, *(value for key, value in metadata if key == REQUEST_ID)]
    for candidate in candidates:
        if isinstance(candidate, str) and is_request_id(candidate):
            return candidate
    return uuid.uuid4().hex
