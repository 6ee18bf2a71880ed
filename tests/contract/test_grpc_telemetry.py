"""One request can be followed: its trace joins the caller's, its log line has no query text, its numbers count."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import grpc
import pytest
import structlog
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2_grpc as pb_grpc
from iterqr_server.hints.interface import Hints, HintsOutcome
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs
from support.grpc_calls import failure_of
from support.plugin_search import eventually
from support.rewrite_server import Overrides, RunningServer, free_port, rewrites_script, running_server

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "b7ad6b7169203331"
TRACEPARENT = (("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-01"),)
SECRET_QUERY = "secret tai"
SCRIPT = rewrites_script({SECRET_QUERY: ["hidden thai"]})


def call(
    server: RunningServer, query: str = SECRET_QUERY, metadata: tuple[tuple[str, str], ...] = ()
) -> pb.RewriteQueryResponse:
    with grpc.insecure_channel(server.address) as channel:
        request = pb.RewriteQueryRequest(query=query, request_id="req-7", region="north")
        return pb_grpc.QueryRewriteServiceStub(channel).RewriteQuery(request, timeout=20, metadata=metadata)


class FixedHints:
    """A source with one title for every query."""

    version = "hints-000001@abcdefgh"

    async def start(self) -> None:
        pass

    async def read(self, region: str, query: str) -> Hints:  # noqa: ARG002 - the protocol's parameters
        return Hints(("Pad Thai",), HintsOutcome.EXACT)

    async def close(self) -> None:
        pass


def exported(server_metadata: tuple[tuple[str, str], ...]) -> dict[str, ReadableSpan]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with running_server(script=SCRIPT, traces=provider, hints=FixedHints()) as server:
        call(server, metadata=server_metadata)
    return {span.name.rpartition("/")[2]: span for span in exporter.get_finished_spans()}


def test_spans_join_the_callers_trace() -> None:
    spans = exported(TRACEPARENT)
    assert set(spans) == {"RewriteQuery", "hints", "generation"}
    server_span = spans["RewriteQuery"]
    assert server_span.name == "iterqr.rewrite.v1.QueryRewriteService/RewriteQuery"
    assert server_span.parent is not None
    assert format(server_span.parent.span_id, "016x") == PARENT_ID
    assert server_span.context is not None
    for name in ("hints", "generation"):
        parent = spans[name].parent
        assert parent is not None
        assert parent.span_id == server_span.context.span_id
    contexts = [span.context for span in spans.values()]
    assert {format(context.trace_id, "032x") for context in contexts if context} == {TRACE_ID}
    assert dict(spans["hints"].attributes or {}) == {"iterqr.hints.outcome": "exact", "iterqr.hints.count": 1}
    attributes = dict(server_span.attributes or {})
    assert attributes["iterqr.request_id"] == "req-7"
    assert attributes["iterqr.outcome"] == "complete"
    assert attributes["rpc.grpc.status_code"] == 0
    assert SECRET_QUERY not in str(attributes)


def test_without_a_traceparent_a_trace_starts_here() -> None:
    assert exported(())["RewriteQuery"].parent is None


def test_a_malformed_traceparent_is_ignored() -> None:
    assert exported((("traceparent", "00-garbage-01"),))["RewriteQuery"].parent is None


def test_the_reply_names_the_hints_it_used() -> None:
    with running_server(script=SCRIPT, hints=FixedHints()) as server:
        reply = call(server)
        assert (reply.hints_version, list(reply.hints)) == ("hints-000001@abcdefgh", ["Pad Thai"])
        cached = call(server)
        assert (cached.hints_version, list(cached.hints)) == ("hints-000001@abcdefgh", ["Pad Thai"])
        assert server.metric("iterqr_hints_total", outcome="exact") == 1


def logged(overrides: Overrides | None = None) -> dict[str, Any]:
    """The log entry of one call; all that was logged is in its `all`."""
    with (
        running_server(script=SCRIPT, overrides=overrides) as server,
        capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs,
    ):
        call(server, metadata=TRACEPARENT)
        server.wait_until(lambda: any(entry["event"] == "call" for entry in logs))
    (entry,) = [entry for entry in logs if entry["event"] == "call"]
    return {**entry, "all": json.dumps(logs)}


def test_a_log_line_follows_the_request_without_its_text() -> None:
    entry = logged()
    assert entry["request_id"] == "req-7"
    assert entry["trace_id"] == TRACE_ID
    assert (entry["method"], entry["code"], entry["outcome"], entry["source"]) == (
        "RewriteQuery",
        "OK",
        "complete",
        "generated",
    )
    assert (entry["query_chars"], entry["rewrites"], entry["region"]) == (len(SECRET_QUERY), 1, "north")
    assert 0 < entry["first_token_us"] <= entry["generation_us"] <= entry["total_us"]
    assert "secret" not in entry["all"]
    assert "hidden" not in entry["all"]


def test_query_text_is_logged_only_on_demand() -> None:
    entry = logged({"telemetry": {"log_queries": True}})
    assert entry["query"] == SECRET_QUERY
    assert entry["rewrite_texts"] == ["hidden thai"]


def metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as response:
        text: str = response.read().decode()
    return text


def test_metrics_endpoint() -> None:
    port = free_port()
    with running_server(script=SCRIPT, overrides={"telemetry": {"prometheus_port": port}}) as server:
        call(server)
        call(server)
        failure_of(lambda: call(server, "x" * 300))
        # A call is counted when it is over, which may be after its caller has the answer.
        eventually(lambda: 'code="INVALID_ARGUMENT"' in metrics(port))
        text = metrics(port)
    for line in (
        'iterqr_calls_total{code="OK",method="RewriteQuery"} 2.0',
        'iterqr_calls_total{code="INVALID_ARGUMENT",method="RewriteQuery"} 1.0',
        'iterqr_rewrite_outcomes_total{outcome="complete",source="cache"} 1.0',
        'iterqr_rewrite_outcomes_total{outcome="complete",source="generated"} 1.0',
        'iterqr_stage_seconds_count{stage="total"} 2.0',
        'iterqr_stage_seconds_count{stage="generation"} 1.0',
        'iterqr_hints_total{outcome="off"} 1.0',
        'iterqr_cache_lookups_total{result="hit"} 1.0',
        'iterqr_generations_total{end="complete"} 1.0',
        "iterqr_cache_entries 1.0",
        "iterqr_engine_running 0.0",
        "iterqr_ready 1.0",
    ):
        assert line in text.splitlines(), line
    assert "iterqr_engine_generated_tokens_total" in text
    assert SECRET_QUERY not in text


def test_a_metrics_port_in_use_is_named() -> None:
    port = free_port()
    overrides = {"telemetry": {"prometheus_port": port}}
    with (
        running_server(overrides=overrides),
        pytest.raises(OSError, match=f"telemetry.prometheus_port: cannot listen on 127.0.0.1:{port}"),
        running_server(overrides=overrides),
    ):
        pass
