"""Logs are JSON on standard error, traces cost nothing without a collector, scrapes never hang."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading

from iterqr_server.telemetry.metrics import Metrics
from iterqr_server.telemetry.traces import caller_context, current_trace_id, tracer_provider
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import generate_latest

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"


def log_lines(level: str, statement: str) -> list[dict[str, object]]:
    """What a process logs; in a process, because logs are configured once for all."""
    code = f"""
import logging, structlog
from iterqr_server.telemetry.logs import configure_logs
configure_logs({level!r})
log = structlog.get_logger("test")
{statement}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_logs_are_json_with_level_and_time() -> None:
    (entry,) = log_lines("info", 'log.debug("no"); log.info("yes", count=3)')
    assert entry["event"] == "yes"
    assert entry["level"] == "info"
    assert entry["count"] == 3
    assert str(entry["timestamp"]).endswith("Z")


def test_exceptions_are_one_line_too() -> None:
    (entry,) = log_lines("info", 'try:\n    1 / 0\nexcept ZeroDivisionError:\n    log.error("bad", exc_info=True)')
    assert "ZeroDivisionError" in str(entry["exception"])


def test_libraries_log_as_json_and_the_search_client_not_at_all() -> None:
    lines = log_lines(
        "debug",
        'logging.getLogger("lib").warning("a \\"quoted\\"\\nmessage"); '
        'logging.getLogger("opensearch").warning("POST secret query"); logging.getLogger("lib").info("no")',
    )
    assert [line["event"] for line in lines] == ['a "quoted"\nmessage']
    assert lines[0]["logger"] == "lib"


def test_without_a_collector_nothing_is_recorded_but_the_callers_trace_is_known() -> None:
    tracer = tracer_provider("").get_tracer("test")
    with tracer.start_as_current_span("call", context=caller_context([("traceparent", TRACEPARENT)])) as span:
        assert not span.is_recording()
        assert current_trace_id() == TRACE_ID
    assert current_trace_id() == ""


def test_with_a_collector_spans_are_recorded() -> None:
    provider = tracer_provider("http://127.0.0.1:9")
    assert isinstance(provider, TracerProvider)
    assert provider.resource.attributes["service.name"] == "iterqr-server"
    assert provider.get_tracer("test").start_span("call").is_recording()


def test_a_caller_context_reads_only_valid_headers() -> None:
    for metadata in ([], [("traceparent", "nonsense")], [("traceparent", b"\x00")]):
        context = trace.get_current_span(caller_context(metadata)).get_span_context()
        assert not context.is_valid


def test_gauges_are_read_on_the_event_loop() -> None:
    threads: list[threading.Thread] = []

    def read() -> dict[str, float]:
        threads.append(threading.current_thread())
        return {"iterqr_things": 3.0, "iterqr_steps_total": 7.0}

    async def scrape() -> str:
        metrics = Metrics()
        metrics.add_gauges(asyncio.get_running_loop(), read)
        return (await asyncio.to_thread(generate_latest, metrics.registry)).decode()

    text = asyncio.run(scrape())
    assert threads == [threading.main_thread()]
    assert "\niterqr_things 3.0\n" in text
    assert "\n# TYPE iterqr_steps_total counter\niterqr_steps_total 7.0\n" in text


def test_a_scrape_after_the_loops_end_gives_the_rest() -> None:
    metrics = Metrics()
    loop = asyncio.new_event_loop()
    metrics.add_gauges(loop, lambda: {"iterqr_things": 3.0})
    loop.close()
    metrics.calls.labels("RewriteQuery", "OK").inc()
    text = generate_latest(metrics.registry).decode()
    assert 'iterqr_calls_total{code="OK",method="RewriteQuery"} 1.0' in text
    assert "iterqr_things" not in text
