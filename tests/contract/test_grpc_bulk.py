"""RewriteQueries over a real socket: every item is answered once, memory and the engine's queue are bounded."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory

import grpc
import pytest
from google.rpc import code_pb2  # type: ignore[import-untyped]
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2_grpc as pb_grpc
from iterqr_server.engine.executor import PackedStep
from iterqr_server.engine.settings import EngineSettings
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs
from support.grpc_calls import failure_of
from support.predictable import StepGate, last_query, predictable_engine
from support.rewrite_server import RunningServer, answer, rewrite_server_process, running_server

REWRITE_QUERIES = "/iterqr.rewrite.v1.QueryRewriteService/RewriteQueries"
WINDOW = 8
BIG_FIELD = bytes([0x7A])  # field 15, unknown: padding that a server takes in and drops


def item(
    number: int, *, query: str | None = None, request_id: str | None = None, tenant: str = ""
) -> pb.RewriteQueriesRequest:
    request = pb.RewriteQueryRequest(
        query=f"query {number}" if query is None else query,
        request_id=f"q{number}" if request_id is None else request_id,
        tenant=tenant,
    )
    return pb.RewriteQueriesRequest(request=request)


def script(prompt: str) -> str:
    query = last_query(prompt)
    return answer("x", [f"{query} a"], intent="i", meaning="m")


@contextmanager
def short_template() -> Iterator[str]:
    """A template that costs the predictable model, for which every character is a token, little."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "template.toml")
        path.write_text('format_version = "v1"\ninstruction = "rewrite"', "utf-8")
        yield str(path)


class Bulk:
    """A server that is held still by its gate, once closed, and a client of it."""

    def __init__(self, server: RunningServer, gate: StepGate, channel: grpc.Channel) -> None:
        self.server = server
        self.gate = gate
        self.stub = pb_grpc.QueryRewriteServiceStub(channel)

    def texts(self, items: list[pb.RewriteQueriesRequest]) -> list[tuple[str, list[str]]]:
        """Id and rewrites of each reply, as they come; the stream must end well."""
        call = self.stub.RewriteQueries(iter(items), timeout=120)
        replies = [(reply.request_id, [r.text for r in reply.response.rewrites]) for reply in call]
        assert call.code() is grpc.StatusCode.OK
        return replies

    def in_flight(self) -> float:
        return self.server.metric("iterqr_bulk_in_flight")

    def wait_until_full(self) -> None:
        self.server.wait_until(lambda: self.in_flight() == WINDOW)
        self.server.wait_until(lambda: self.engine("running") + self.engine("waiting") == WINDOW)

    def engine(self, gauge: str) -> float:
        return self.server.metric(f"iterqr_engine_{gauge}")


@contextmanager
def bulk_server(
    engine: EngineSettings | None = None,
    traces: TracerProvider | None = None,
    window: int = WINDOW,
    before_step: Callable[[PackedStep], None] = lambda _step: None,
) -> Iterator[Bulk]:
    gate = StepGate()
    gate.open()

    def step(packed: PackedStep) -> None:
        gate(packed)
        before_step(packed)

    model = predictable_engine(script, before_step=step, settings=engine)
    with (
        short_template() as template,
        running_server(
            model, overrides={"rewrite": {"max_bulk_in_flight": window, "template": template}}, traces=traces
        ) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        try:
            yield Bulk(server, gate, channel)
        finally:
            gate.open()


@pytest.fixture
def bulk() -> Iterator[Bulk]:
    with bulk_server() as running:
        yield running


def test_500_items_through_a_window_of_8_are_answered_exactly_once(bulk: Bulk) -> None:
    replies = bulk.texts([item(number) for number in range(500)])
    assert sorted(replies) == sorted((f"q{number}", [f"query {number} a"]) for number in range(500))
    assert bulk.server.metric("iterqr_bulk_items_total", outcome="complete") == 500
    assert bulk.in_flight() == 0


def test_the_order_of_the_items_does_not_matter(bulk: Bulk) -> None:
    items = [item(number, tenant="one") for number in range(40)]
    shuffled = [item(number, tenant="another") for number in random.Random(7).sample(range(40), 40)]
    assert sorted(bulk.texts(items)) == sorted(bulk.texts(shuffled))


def test_a_reply_is_that_of_the_unary_call_and_comes_from_the_same_cache(bulk: Bulk) -> None:
    request = pb.RewriteQueryRequest(query="pad tai", request_id="a", region="north", tenant="t")
    (first,) = bulk.stub.RewriteQueries(iter([pb.RewriteQueriesRequest(request=request)]), timeout=20)
    assert first.response.source == pb.SOURCE_GENERATED
    assert first.request_id == first.response.request_id == "a"
    unary = bulk.stub.RewriteQuery(request, timeout=20)
    assert unary.source == pb.SOURCE_CACHE
    assert list(unary.rewrites) == list(first.response.rewrites)
    (again,) = bulk.stub.RewriteQueries(iter([pb.RewriteQueriesRequest(request=request)]), timeout=20)
    assert again.response.source == pb.SOURCE_CACHE


def test_the_server_reads_no_more_than_its_window(bulk: Bulk) -> None:
    """Items of 60,000 bytes, so that what the transport buffers is few of them."""
    bulk.gate.close()
    sent: list[int] = []

    def items() -> Iterator[bytes]:
        for number in range(1000):
            sent.append(number)
            padding = b"x" * 60_000
            yield item(number).SerializeToString() + BIG_FIELD + b"\xe0\xd4\x03" + padding

    with grpc.insecure_channel(bulk.server.address) as channel:
        raw_call = channel.stream_stream(
            REWRITE_QUERIES, request_serializer=bytes, response_deserializer=pb.RewriteQueriesResponse.FromString
        )
        call = raw_call(items(), timeout=120)
        bulk.wait_until_full()
        assert failure_of(lambda: bulk.stub.RewriteQuery(pb.RewriteQueryRequest(query="x"), timeout=0.5))
        assert bulk.in_flight() == WINDOW, "half a second later it has still read no more"
        assert len(sent) < 900
        call.cancel()


def test_an_item_that_fails_does_not_end_the_stream(bulk: Bulk) -> None:
    items = [
        item(1),
        item(2, query=" "),
        item(3, request_id=""),
        item(4, request_id="two words"),
        item(5, query="x" * 257),
        pb.RewriteQueriesRequest(),
        item(1, query="another"),
        item(6),
    ]
    replies = list(bulk.stub.RewriteQueries(iter(items), timeout=20))
    assert len(replies) == len(items)
    failures = sorted((r.request_id, r.failure.message) for r in replies if r.HasField("failure"))
    rule = "must be 1 to 64 characters of [A-Za-z0-9_.:-]"
    assert failures == [
        ("", f"request_id: is required in a stream; {rule}"),
        ("", f"request_id: is required in a stream; {rule}"),
        ("q1", "request_id: must be unique within the stream"),
        ("q2", "query: must not be empty; the limit is 1 to 256 characters"),
        ("q5", "query: must be at most 256 characters, got 257"),
        ("two words", f"request_id: {rule}"),
    ]
    assert {r.failure.code for r in replies if r.HasField("failure")} == {code_pb2.INVALID_ARGUMENT}
    assert {r.request_id for r in replies if r.HasField("response")} == {"q1", "q6"}
    assert bulk.server.metric("iterqr_bulk_items_total", outcome="invalid_argument") == 6
    assert bulk.server.metric("iterqr_calls_total", method="RewriteQueries", code="OK") == 1


def test_an_item_whose_bytes_are_no_request_fails_alone(bulk: Bulk) -> None:
    inner = b"\x0a\x06piz\xffza\x32\x02q7"
    with grpc.insecure_channel(bulk.server.address) as channel:
        raw_call = channel.stream_stream(
            REWRITE_QUERIES, request_serializer=bytes, response_deserializer=pb.RewriteQueriesResponse.FromString
        )
        items = [b"\x0a" + bytes([len(inner)]) + inner, item(1).SerializeToString(), b"not protobuf"]
        replies = list(raw_call(iter(items), timeout=20))
    assert sorted((r.request_id, r.failure.code, r.failure.message) for r in replies) == [
        ("", code_pb2.INVALID_ARGUMENT, "request.query: must be valid UTF-8; byte 3 is not"),
        ("", code_pb2.INVALID_ARGUMENT, "the request is not a RewriteQueriesRequest message"),
        ("q1", 0, ""),
    ]


def test_a_bug_in_one_item_fails_that_item(bulk: Bulk, monkeypatch: pytest.MonkeyPatch) -> None:
    service = bulk.server.application._service
    works = service.rewrite

    async def broken_for_one(call: object) -> object:
        if getattr(call, "query", "") == "query 1":
            raise KeyError("secret of the inside")
        return await works(call)  # type: ignore[arg-type]

    monkeypatch.setattr(service, "rewrite", broken_for_one)
    with capture_logs() as logs:
        replies = {r.request_id: r for r in bulk.stub.RewriteQueries(iter([item(0), item(1), item(2)]), timeout=20)}
    assert replies["q1"].failure.code == code_pb2.INTERNAL
    assert "secret" not in replies["q1"].failure.message
    assert replies["q0"].HasField("response")
    assert replies["q2"].HasField("response")
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["item_failed"]


def test_a_cancelled_stream_frees_all_that_it_had_in_flight(bulk: Bulk) -> None:
    idle = bulk.engine("kv_positions_used")
    bulk.gate.close()
    call = bulk.stub.RewriteQueries(iter([item(number) for number in range(100)]), timeout=120)
    bulk.wait_until_full()
    assert bulk.engine("kv_positions_used") > idle
    call.cancel()
    bulk.server.wait_until(lambda: bulk.engine("running") + bulk.engine("waiting") + bulk.in_flight() == 0)
    assert bulk.engine("kv_positions_used") == idle
    assert bulk.server.metric("iterqr_generations_running") == 0
    assert bulk.server.metric("iterqr_generations_total", end="abandoned") == WINDOW
    bulk.gate.open()
    assert bulk.stub.RewriteQuery(pb.RewriteQueryRequest(query="x"), timeout=20).rewrites


CLIENT = f"""
import sys, threading, grpc
call = grpc.insecure_channel(sys.argv[1]).stream_stream("{REWRITE_QUERIES}")(iter(map(bytes.fromhex, sys.argv[2:])))
next(call)
"""


def test_a_killed_client_frees_all_that_it_had_in_flight(bulk: Bulk) -> None:
    idle = bulk.engine("kv_positions_used")
    bulk.gate.close()
    items = [item(number).SerializeToString().hex() for number in range(20)]
    with subprocess.Popen([sys.executable, "-c", CLIENT, bulk.server.address, *items]) as client:
        bulk.wait_until_full()
        client.kill()
    bulk.server.wait_until(lambda: bulk.engine("running") + bulk.engine("waiting") + bulk.in_flight() == 0)
    assert bulk.engine("kv_positions_used") == idle


def test_interactive_calls_are_served_during_bulk() -> None:
    """The stream never runs dry, and all of its window finds no place in the engine at once."""
    small = EngineSettings(max_running=2, max_waiting=64, arena_positions=65_536, max_step_rows=4096)
    stopped = threading.Event()

    def endless() -> Iterator[pb.RewriteQueriesRequest]:
        number = 0
        while not stopped.is_set():
            number += 1
            yield item(number)

    with bulk_server(small) as bulk:
        call = bulk.stub.RewriteQueries(endless(), timeout=120)
        next(call)
        for number in range(5):
            reply = bulk.stub.RewriteQuery(pb.RewriteQueryRequest(query=f"interactive {number}"), timeout=20)
            assert reply.outcome == pb.OUTCOME_COMPLETE
            assert bulk.in_flight() > 0
        assert next(call).HasField("response")
        stopped.set()
        call.cancel()


def test_an_interactive_call_does_not_wait_for_a_bulk_item_of_the_same_query(bulk: Bulk) -> None:
    bulk.gate.close()
    call = bulk.stub.RewriteQueries(iter([item(1)]), timeout=120)
    bulk.server.wait_until(lambda: bulk.engine("running") == 1)
    with ThreadPoolExecutor() as pool:
        request = pb.RewriteQueryRequest(query="query 1")
        interactive = pool.submit(bulk.stub.RewriteQuery, request, timeout=60)
        bulk.server.wait_until(lambda: bulk.engine("running") == 2)
        call.cancel()
        bulk.server.wait_until(lambda: bulk.engine("running") == 1)
        bulk.gate.open()
        assert interactive.result().source == pb.SOURCE_GENERATED


def test_a_bulk_item_shares_the_generation_of_an_interactive_call(bulk: Bulk) -> None:
    bulk.gate.close()
    with ThreadPoolExecutor() as pool:
        interactive = pool.submit(bulk.stub.RewriteQuery, pb.RewriteQueryRequest(query="query 1"), timeout=60)
        bulk.server.wait_until(lambda: bulk.engine("running") == 1)
        call = bulk.stub.RewriteQueries(iter([item(1)]), timeout=120)
        bulk.server.wait_until(lambda: bulk.in_flight() == 1)
        bulk.gate.open()
        assert next(call).response.source == pb.SOURCE_COALESCED
        assert interactive.result().source == pb.SOURCE_GENERATED
    assert bulk.server.metric("iterqr_generations_total", end="complete") == 1


def test_all_streams_together_have_one_window_in_the_engine(bulk: Bulk) -> None:
    bulk.gate.close()
    calls = [
        bulk.stub.RewriteQueries(iter([item(number, tenant=f"t{s}") for number in range(20)]), timeout=120)
        for s in range(3)
    ]
    bulk.server.wait_until(lambda: bulk.in_flight() == 3 * WINDOW)
    bulk.server.wait_until(lambda: bulk.engine("running") + bulk.engine("waiting") == WINDOW)
    bulk.gate.open()
    assert [len(list(call)) for call in calls] == [20] * 3


def test_bulk_waits_while_the_engines_queue_is_full() -> None:
    tiny = EngineSettings(max_running=1, max_waiting=0, arena_positions=65_536, max_step_rows=4096)
    with bulk_server(tiny, window=2) as bulk:
        assert len(bulk.texts([item(number) for number in range(4)])) == 4
        assert bulk.server.metric("iterqr_bulk_retries_total") > 0


def test_a_broken_engine_ends_the_stream() -> None:
    broken = threading.Event()

    def before_step(_step: PackedStep) -> None:
        if broken.is_set():
            raise RuntimeError("the device is gone")

    with bulk_server(before_step=before_step) as bulk:
        bulk.gate.close()
        call = bulk.stub.RewriteQueries(iter([item(number) for number in range(100)]), timeout=120)
        bulk.wait_until_full()
        broken.set()
        bulk.gate.open()
        failure = failure_of(lambda: list(call))
        assert failure.code is grpc.StatusCode.UNAVAILABLE
        assert failure.details == "the engine failed and the server is stopping"
        assert "x-request-id" in failure.metadata
        assert bulk.in_flight() == 0


def test_finished_items_that_are_sent_again_come_from_the_cache(bulk: Bulk) -> None:
    call = bulk.stub.RewriteQueries(iter([item(number) for number in range(30)]), timeout=120)
    finished = {next(call).request_id for _ in range(10)}
    call.cancel()
    again = {r.request_id: r for r in bulk.stub.RewriteQueries(iter([item(n) for n in range(30)]), timeout=120)}
    assert len(again) == 30
    assert {again[request_id].response.source for request_id in finished} == {pb.SOURCE_CACHE}


def test_a_lost_stream_is_resumed_as_the_contract_shows() -> None:
    queries = [f"query {number}" for number in range(60)]
    kept: SimpleQueue[pb.RewriteQueriesResponse] = SimpleQueue()
    known = {query: [f"{query} a"] for query in queries}
    with (
        short_template() as template,
        rewrite_server_process(known, {"rewrite": {"max_bulk_in_flight": WINDOW, "template": template}}) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        stub = pb_grpc.QueryRewriteServiceStub(channel)
        missing = {f"q{number}": query for number, query in enumerate(queries)}
        streams = 0
        while missing:
            streams += 1
            requests = (
                pb.RewriteQueriesRequest(request=pb.RewriteQueryRequest(query=query, request_id=request_id))
                for request_id, query in list(missing.items())
            )
            try:
                for reply in stub.RewriteQueries(requests, wait_for_ready=True, timeout=120):
                    missing.pop(reply.request_id)
                    kept.put(reply)
                    if len(missing) == 40 and streams == 1:
                        server.kill()
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                server.start()
    assert streams == 2
    replies = [kept.get() for _ in range(kept.qsize())]
    assert sorted(reply.request_id for reply in replies) == sorted(f"q{number}" for number in range(60))
    assert all(reply.response.outcome == pb.OUTCOME_COMPLETE for reply in replies)


def test_a_server_that_stops_ends_the_stream_as_unavailable() -> None:
    """It waits for the grace only; the client resumes elsewhere."""
    known = {f"query {number}": ["a"] for number in range(2000)}
    overrides = {"rewrite": {"max_bulk_in_flight": WINDOW}}
    with (
        rewrite_server_process(known, overrides) as server,
        grpc.insecure_channel(server.address) as channel,
        ThreadPoolExecutor() as pool,
    ):
        stub = pb_grpc.QueryRewriteServiceStub(channel)
        call = stub.RewriteQueries(iter([item(number) for number in range(2000)]), timeout=120)
        assert next(call).HasField("response")
        stopped = pool.submit(server.stop)
        assert failure_of(lambda: list(call)).code is grpc.StatusCode.UNAVAILABLE
        assert stopped.result() == 0


def test_a_stream_to_a_server_that_loads_is_unavailable() -> None:
    gate = StepGate()
    model = predictable_engine(script, before_step=gate)
    with running_server(model, wait_until_serving=False) as server, grpc.insecure_channel(server.address) as channel:
        stub = pb_grpc.QueryRewriteServiceStub(channel)
        failure = failure_of(lambda: list(stub.RewriteQueries(iter([item(1)]), timeout=20)))
        gate.open()
    assert failure.code is grpc.StatusCode.UNAVAILABLE
    assert failure.details == "the model is still loading"


def test_each_item_has_a_trace_of_its_own_linked_to_the_streams() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with bulk_server(traces=provider) as bulk, capture_logs() as logs:
        bulk.texts([item(1), item(2)])
    spans = {span.name: span for span in exporter.get_finished_spans()}
    items = [span for span in exporter.get_finished_spans() if span.name == "RewriteQueries item"]
    assert {(span.attributes or {})["iterqr.request_id"] for span in items} == {"q1", "q2"}
    stream = spans["iterqr.rewrite.v1.QueryRewriteService/RewriteQueries"]
    for span in items:
        assert span.parent is None
        assert [link.context.span_id for link in span.links] == [stream.context.span_id]
    assert spans["generation"].context.trace_id in {span.context.trace_id for span in items}
    (line,) = [line for line in logs if line["event"] == "call"]
    assert line["code"] == "OK"
    assert "query 1" not in str(logs)
