"""OpenTelemetry traces that join the caller's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()


def tracer_provider(otlp_endpoint: str) -> TracerProvider | trace.NoOpTracerProvider:
    """Returns a provider that exports to a collector, or one that records nothing if there is none.

    The latter keeps the caller's trace id, for the logs.
    """
    if not otlp_endpoint:
        return trace.NoOpTracerProvider()
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: "iterqr-server"}))
    insecure = not otlp_endpoint.startswith("https://")
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=otlp_endpoint, insecure=insecure)))
    return provider


def caller_context(metadata: Iterable[tuple[str, str | bytes]]) -> Context:
    """Returns the trace context of W3C `traceparent` and `tracestate` metadata; empty if absent or malformed."""
    carrier: Mapping[str, str] = {
        key: value for key, value in metadata if isinstance(value, str) and key in ("traceparent", "tracestate")
    }
    return _PROPAGATOR.extract(carrier, context=Context())


def current_trace_id() -> str:
    """Returns the current trace id as 32 hexadecimal digits; empty outside a trace."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else ""
