"""Whatever is wrong with the rewrite server, the search gives the plain hits, in time, and says what happened.

In time means within budget_ms + 20 ms. On a small shared machine any single search may be held up, so it is the fastest
of several that must keep to it, and their median with 60 ms more: a fault of the plugin is in every search, the
machine's noise is not.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import grpc
import pytest
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from support.broken_endpoints import GARBAGE, HTTP_1, nobody_listens, speaks
from support.dish_catalog import REWRITES, TYPO
from support.plugin_search import (
    Body,
    PluginSearch,
    assert_plain_hits,
    eventually,
    hits,
    match,
    outcome,
    refusal,
    untagged,
    without_ext,
)
from support.rewrite_server import rewrite_server_process
from support.scripted_service import answers, fails, reply, scripted_service

pytestmark = [pytest.mark.node, pytest.mark.alone]

BODY = {"query": match(TYPO), "size": 20, "aggs": {"groups": {"terms": {"field": "group"}}}}
BUDGET_MS = 300
TRIES = 7

# Whether the connection breaks before a call is sent on it or after is up to the sockets.
NO_GRPC = "unavailable or bad_reply"
# The second, once enough calls have failed.
AWAY = "unavailable or breaker_open"


@pytest.fixture
def hasty(plugin: PluginSearch) -> PluginSearch:
    """The plugin with a pipeline whose budget is short."""
    return PluginSearch(plugin.node, plugin.index, plugin.create_pipeline({"budget_ms": BUDGET_MS}))


def assert_plain_in_time(plugin: PluginSearch, expected: str, body: Body = BODY) -> None:
    names = expected.split(" or ")
    plain = plugin.plain(body)
    counted = sum(plugin.counted(name) for name in names)
    took_ms = []
    for _ in range(TRIES):
        start = time.perf_counter()
        response = plugin.search(body)
        took_ms.append((time.perf_counter() - start) * 1000)
        assert outcome(response) in names
        assert_plain_hits(response, plain)
        assert response["hits"]["total"] == plain["hits"]["total"]
        assert response["aggregations"] == plain["aggregations"]
    assert min(took_ms) <= BUDGET_MS + 20, took_ms
    assert statistics.median(took_ms) <= BUDGET_MS + 80, took_ms
    assert sum(plugin.counted(name) for name in names) == counted + TRIES


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        pytest.param(nobody_listens, "unavailable", id="nobody listens"),
        pytest.param(lambda: speaks(b"", then_closes=True), "unavailable", id="hangs up"),
        pytest.param(lambda: speaks(b"", then_closes=False), "timeout", id="takes the call and is silent"),
        pytest.param(lambda: speaks(GARBAGE, then_closes=True), NO_GRPC, id="garbage, hangs up"),
        pytest.param(lambda: speaks(GARBAGE, then_closes=False), NO_GRPC, id="garbage, stays"),
        pytest.param(lambda: speaks(HTTP_1, then_closes=True), NO_GRPC, id="speaks HTTP/1.1"),
    ],
)
def test_no_rewrite_server_at_the_endpoint(
    hasty: PluginSearch, endpoint: Callable[[], AbstractContextManager[str]], expected: str
) -> None:
    with endpoint() as address, hasty.served_by(address):
        assert_plain_in_time(hasty, expected)
    eventually(lambda: outcome(hasty.search(BODY)) == "fused")


def test_a_server_that_stops_freezes_and_comes_back(hasty: PluginSearch) -> None:
    with rewrite_server_process(REWRITES) as server, hasty.served_by(server.address):

        def is_fused() -> bool:
            return outcome(hasty.search(BODY)) == "fused"

        eventually(is_fused)

        server.freeze()
        assert_plain_in_time(hasty, "timeout")
        server.thaw()
        eventually(is_fused)

        server.kill()
        assert_plain_in_time(hasty, AWAY)
        server.start()
        eventually(is_fused)

        server.stop()
        assert_plain_in_time(hasty, AWAY)
        server.start()
        eventually(is_fused)


def test_a_server_too_slow_for_the_budget(hasty: PluginSearch) -> None:
    over = threading.Event()

    def late(_request: pb.RewriteQueryRequest) -> bytes:
        over.wait(timeout=30)
        return reply("pad thai").SerializeToString()

    with scripted_service(late) as service, hasty.served_by(service.address):
        try:
            assert_plain_in_time(hasty, "timeout")
        finally:
            over.set()


def edited(**fields: object) -> bytes:
    """A reply of one rewrite, some of whose fields are wrong."""
    message = reply("pad thai")
    for name, value in fields.items():
        setattr(message.rewrites[0], name, value)
    return message.SerializeToString()


BAD_REPLIES = {
    "not protobuf": b"\xff\xff\xff\xff",
    "text is not UTF-8": reply("pad th@i").SerializeToString().replace(b"@", b"\xff"),
    "text is empty": edited(text=" "),
    "text is too long": edited(text="a" * 121),
    "text has control characters": edited(text="pad\x00thai"),
    "rewrite_id is empty": edited(rewrite_id=""),
    "rewrite_id is no hexadecimal number": edited(rewrite_id="../../etc/passwd"),
    "confidence is not a number": edited(confidence=float("nan")),
    "confidence is above 1": edited(confidence=1.5),
    "more rewrites than asked for": reply(*(f"thai {number}" for number in range(4))).SerializeToString(),
    "far too large": reply(*["a" * 1_000_000]).SerializeToString(),
    "twice the same id": pb.RewriteQueryResponse(
        rewrites=[pb.Rewrite(rewrite_id="0" * 16, text=text, confidence=0.5) for text in ("pad thai", "thai noodles")]
    ).SerializeToString(),
}


@pytest.mark.parametrize("name", BAD_REPLIES)
def test_a_reply_that_breaks_the_contract(plugin: PluginSearch, name: str) -> None:
    with scripted_service(lambda _request: BAD_REPLIES[name]) as service, plugin.served_by(service.address):
        counted = plugin.counted("bad_reply")
        response = plugin.search(BODY)
        assert outcome(response) == "bad_reply"
        assert_plain_hits(response, plugin.plain(BODY))
        assert plugin.counted("bad_reply") == counted + 1


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "rejected"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "rejected"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "timeout"),
        (grpc.StatusCode.UNAVAILABLE, "unavailable"),
        (grpc.StatusCode.UNIMPLEMENTED, "bad_reply"),
        (grpc.StatusCode.INTERNAL, "bad_reply"),
        (grpc.StatusCode.UNKNOWN, "bad_reply"),
    ],
)
def test_the_server_answers_with_an_error(plugin: PluginSearch, code: grpc.StatusCode, expected: str) -> None:
    with scripted_service(fails(code)) as service, plugin.served_by(service.address):
        counted = plugin.counted(expected)
        response = plugin.search(BODY)
        assert outcome(response) == expected
        assert_plain_hits(response, plugin.plain(BODY))
        assert plugin.counted(expected) == counted + 1


def test_a_query_over_the_limit_is_searched_plainly(plugin: PluginSearch) -> None:
    body = {"query": match("pad " * 65 + "x")}
    response = plugin.search(body)
    assert outcome(response) == "rejected"
    assert_plain_hits(response, plugin.plain(body))


def test_a_rewrite_that_the_field_cannot_take_leaves_the_original_intact(plugin: PluginSearch) -> None:
    body = {"query": {"match": {"price": "3"}}, "size": 5}
    with scripted_service(answers("three")) as service, plugin.served_by(service.address):
        counted = plugin.counted("windows_failed")
        response = plugin.search(body)
        assert outcome(response) == "windows_failed"
        assert_plain_hits(response, plugin.plain(body))
        assert len(hits(response)) == 5
        assert plugin.counted("windows_failed") == counted + 1


@pytest.mark.parametrize(
    "body",
    [
        {"query": {"match": {"title": {"query": TYPO, "operator": "sometimes"}}}},
        {"query": {"query_string": {"query": '"unbalanced', "default_field": "title"}}},
        {"query": match(TYPO), "size": 10_001},
        {"query": match(TYPO), "from": -1},
    ],
)
def test_what_plain_search_refuses_is_refused_alike(plugin: PluginSearch, body: Body) -> None:
    refused = refusal(lambda: plugin.plain(body))
    assert refused
    assert refusal(lambda: plugin.search(body)) == refused


@pytest.mark.parametrize("half", ["request_processors", "response_processors"])
def test_half_a_pipeline_does_no_harm(plugin: PluginSearch, half: str) -> None:
    name = plugin.node.unique_name("half")
    halves: dict[str, list[Body]] = {
        "request_processors": [{"query_rewrite": {}}],
        "response_processors": [{"rewrite_channel": {}}],
    }
    plugin.client.transport.perform_request("PUT", f"/_search/pipeline/{name}", body={half: halves[half]})
    response = plugin.search(BODY, pipeline=name)
    assert [untagged(hit) for hit in hits(response)] == hits(plugin.plain(BODY))


def test_many_searches_at_once_while_the_server_is_frozen(hasty: PluginSearch) -> None:
    """Waiting searches hold no thread: 40 of them, on a node of few, end together."""
    plain = hasty.plain(BODY)
    with speaks(b"", then_closes=False) as address, hasty.served_by(address):
        lines: list[Body] = []
        for _ in range(40):
            lines += [{"index": hasty.index}, {**without_ext(BODY), "search_pipeline": hasty.pipeline}]
        start = time.perf_counter()
        responses = hasty.client.msearch(body=lines, params={"max_concurrent_searches": "40"})["responses"]
        took_ms = (time.perf_counter() - start) * 1000
    # Those that the node began later find the breaker open.
    assert {outcome(response) for response in responses} <= {"timeout", "breaker_open"}
    for response in responses:
        assert_plain_hits(response, plain)
    assert took_ms < BUDGET_MS * 3, "one after the other it would be 12 s"
