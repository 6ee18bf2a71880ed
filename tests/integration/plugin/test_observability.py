"""Counters, and the identifiers that tie the server's spans and logs to the search."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support.dish_catalog import REWRITES, TYPO
from support.plugin_search import STATS, PluginSearch, facts, match, outcome
from support.rewrite_server import rewrites_script, running_server
from support.scripted_service import answers, scripted_service

pytestmark = pytest.mark.node

BODY = {"query": match(TYPO)}
TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"
OUTCOMES = {
    "fused", "no_rewrites", "timeout", "unavailable", "bad_reply", "rejected", "breaker_open", "overloaded",
    "windows_failed", "skipped_sort", "skipped_collapse", "skipped_search_after", "skipped_min_score", "skipped_scroll",
    "skipped_size_zero", "skipped_suggest_only", "skipped_past_window", "skipped_no_text", "page_unpinned",
    "skipped_script", "skipped_pit", "skipped_ccs", "skipped_clauses", "control", "expanded", "shadow", "disabled",
    "skipped_policy", "original_suffices", "error",
}  # fmt: skip


def search_with_headers(plugin: PluginSearch, **headers: str) -> None:
    response = plugin.client.search(
        index=plugin.index,
        body=BODY,
        params={"search_pipeline": plugin.pipeline},
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )
    assert outcome(response) == "fused"


def stats(plugin: PluginSearch, node: str = "") -> dict[str, Any]:
    told: dict[str, Any] = plugin.client.transport.perform_request("GET", STATS + node)
    return told


@contextmanager
def threshold(plugin: PluginSearch, value: str) -> Iterator[None]:
    """Logs searches as slow that the channel held up longer, for a while."""
    plugin.client.cluster.put_settings(body={"persistent": {"plugins.iterqr.slowlog.threshold": value}})
    try:
        yield
    finally:
        plugin.client.cluster.put_settings(body={"persistent": {"plugins.iterqr.slowlog.threshold": None}})


def test_every_outcome_has_a_counter(plugin: PluginSearch) -> None:
    outcomes = plugin.client.transport.perform_request("GET", STATS)["outcomes"]
    assert set(outcomes) == OUTCOMES
    assert all(isinstance(count, int) and count >= 0 for count in outcomes.values())


def test_each_search_is_counted_once(plugin: PluginSearch) -> None:
    before = plugin.client.transport.perform_request("GET", STATS)["outcomes"]
    for _ in range(3):
        plugin.search(BODY)
    plugin.search({**BODY, "size": 0})
    plugin.plain(BODY)
    after = plugin.client.transport.perform_request("GET", STATS)["outcomes"]
    added = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert added == {"fused": 3, "skipped_size_zero": 1}


def test_each_node_tells_its_own_and_all_add_up(plugin: PluginSearch) -> None:
    plugin.search(BODY)
    cluster = stats(plugin)
    (node_id,) = cluster["nodes"]
    assert cluster["_nodes"] == {"total": 1, "successful": 1, "failed": 0}
    assert cluster["nodes"][node_id]["outcomes"] == cluster["outcomes"]
    assert stats(plugin, f"/{node_id}")["outcomes"] == cluster["outcomes"]
    assert stats(plugin, "/no-such-node")["nodes"] == {}


def test_where_the_time_goes_is_told_as_histograms(plugin: PluginSearch) -> None:
    before = stats(plugin)["latency"]
    response = plugin.search(BODY)
    plugin.search({**BODY, "size": 0})
    after = stats(plugin)["latency"]
    added = {stage: after[stage]["count"] - before[stage]["count"] for stage in after}
    assert added == {"rewrite": 1, "windows": 1, "fetch": 1, "total": 2, "added": 2}
    for stage, told in after.items():
        assert sum(bucket["count"] for bucket in told["buckets"]) == told["count"], stage
        assert 0 < told["p50_ms"] <= told["p95_ms"] <= told["p99_ms"] <= told["max_ms"], stage
    timings = facts(response)["timings"]
    assert 0 < timings["added_ms"] <= timings["total_ms"]


def test_the_clients_state_is_told(plugin: PluginSearch) -> None:
    plugin.search(BODY)
    client = stats(plugin)["client"]
    assert {"hits", "negative_hits", "misses", "entries", "bytes"} == set(client["cache"])
    (server,) = client["servers"].values()
    assert server["breaker"] == {"closed": 1}
    assert server["succeeded"] > 0


def test_a_search_held_up_by_the_channel_is_logged_without_its_text(plugin: PluginSearch) -> None:
    with threshold(plugin, "0ms"):
        search_with_headers(plugin, X_Opaque_Id="slow-1")
    search_with_headers(plugin, X_Opaque_Id="slow-2")
    (line,) = [line for line in plugin.node.instance.log.read_text().splitlines() if "slow-" in line]
    assert "slowlog" in line
    told = json.loads(line[line.index("{") :])
    assert told["outcome"] == "fused"
    assert told["rewrites"] == len(REWRITES[TYPO])
    assert told["request_id"] == "slow-1"
    assert told["timings"]["added_ms"] > 0
    assert TYPO not in line


def test_the_searchs_trace_goes_on_in_the_server(plugin: PluginSearch) -> None:
    exporter = InMemorySpanExporter()
    traces = TracerProvider()
    traces.add_span_processor(SimpleSpanProcessor(exporter))
    with (
        running_server(script=rewrites_script(REWRITES), traces=traces) as server,
        plugin.served_by(server.address),
    ):
        search_with_headers(plugin, traceparent=TRACEPARENT)
    spans = exporter.get_finished_spans()
    assert spans
    assert {f"{span.context.trace_id:032x}" for span in spans if span.context} >= {TRACE_ID}
    roots = [
        span for span in spans if span.parent and f"{span.parent.trace_id:032x}" == TRACE_ID and span.parent.is_remote
    ]
    assert [f"{span.parent.span_id:016x}" for span in roots if span.parent] == [SPAN_ID]


def test_trace_and_request_id_are_passed_on(plugin: PluginSearch) -> None:
    with scripted_service(answers("pad thai")) as service, plugin.served_by(service.address):
        search_with_headers(plugin, traceparent=TRACEPARENT, X_Opaque_Id="checkout-42")
    (call,) = service.calls
    assert call.metadata["traceparent"] == TRACEPARENT
    assert call.metadata["x-request-id"] == "checkout-42"
    assert call.request.request_id == "checkout-42"


def test_trace_and_request_id_are_made_where_there_are_none(plugin: PluginSearch) -> None:
    with scripted_service(answers("pad thai")) as service, plugin.served_by(service.address):
        search_with_headers(plugin)
        search_with_headers(plugin, traceparent="00-none-of-that-01", X_Opaque_Id="a b\tc")
    assert len(service.calls) == 2
    for call in service.calls:
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", call.metadata["traceparent"])
        assert re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", call.metadata["x-request-id"])
    first, second = service.calls
    assert first.metadata["traceparent"] != second.metadata["traceparent"]
    assert first.metadata["x-request-id"] != second.metadata["x-request-id"]


def test_region_and_tenant_are_the_pipelines_and_the_requests(plugin: PluginSearch) -> None:
    pipeline = plugin.create_pipeline({"region": "south", "tenant": "acme", "max_rewrites": 2})
    with scripted_service(answers("pad thai")) as service, plugin.served_by(service.address):
        plugin.search(BODY, pipeline=pipeline)
        plugin.search({**BODY, "ext": {"iterqr": {"region": "north"}}}, pipeline=pipeline)
    sent = [(call.request.region, call.request.tenant, call.request.max_rewrites) for call in service.calls]
    assert sent == [("south", "acme", 2), ("north", "acme", 2)]


def test_a_page_with_a_token_asks_no_server(plugin: PluginSearch) -> None:
    with scripted_service(answers("pad thai")) as service, plugin.served_by(service.address):
        token = plugin.search(BODY)["ext"]["iterqr"]["page_token"]
        page = plugin.search({**BODY, "from": 10, "ext": {"iterqr": {"page_token": token}}})
    assert outcome(page) == "fused"
    assert len(service.calls) == 1
