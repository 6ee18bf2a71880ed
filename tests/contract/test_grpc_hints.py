"""How hints meet the cache: results are kept by hints version, and briefly when hints could not be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2_grpc as pb_grpc
from iterqr_server.hints.interface import Hints, HintsOutcome
from support.rewrite_server import Overrides, RunningServer, running_server


class GivenHints:
    """A source that says what the test wants, and what it was asked."""

    def __init__(self, *titles: str, outcome: HintsOutcome = HintsOutcome.EXACT) -> None:
        self.version = "hints-1"
        self.hints = Hints(titles, outcome)
        self.asked: list[tuple[str, str]] = []

    async def start(self) -> None:
        pass

    async def read(self, region: str, query: str) -> Hints:
        self.asked.append((region, query))
        return self.hints

    async def close(self) -> None:
        pass


class Client:
    def __init__(self, server: RunningServer, channel: grpc.Channel) -> None:
        self.server = server
        self._stub = pb_grpc.QueryRewriteServiceStub(channel)

    def rewrite(self, query: str = "pad tai", region: str = "north") -> pb.RewriteQueryResponse:
        return self._stub.RewriteQuery(pb.RewriteQueryRequest(query=query, region=region), timeout=20)


@contextmanager
def client_of(hints: GivenHints, overrides: Overrides | None = None) -> Iterator[Client]:
    with (
        running_server(hints=hints, overrides=overrides) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        yield Client(server, channel)


def test_the_source_is_asked_once_with_the_normalized_query() -> None:
    hints = GivenHints("Pad Thai")
    with client_of(hints) as client:
        client.rewrite(" PAD\tTai")
        client.rewrite("pad tai")
    assert hints.asked == [("north", "pad tai")]


def test_a_new_version_of_the_hints_is_a_new_result() -> None:
    hints = GivenHints("Pad Thai")
    with client_of(hints) as client:
        assert client.rewrite().hints_version == "hints-1"
        hints.version, hints.hints = "hints-2", Hints(("Pad See Ew",), HintsOutcome.EXACT)
        reply = client.rewrite()
    assert reply.source == pb.SOURCE_GENERATED
    assert (reply.hints_version, list(reply.hints)) == ("hints-2", ["Pad See Ew"])


@pytest.mark.parametrize(
    ("outcome", "source"),
    [
        (HintsOutcome.NONE, pb.SOURCE_CACHE),
        (HintsOutcome.TIMEOUT, pb.SOURCE_GENERATED),
        (HintsOutcome.UNAVAILABLE, pb.SOURCE_GENERATED),
        (HintsOutcome.ERROR, pb.SOURCE_GENERATED),
    ],
)
def test_a_result_without_hints_that_may_exist_is_kept_briefly(
    outcome: HintsOutcome, source: pb.Source.ValueType
) -> None:
    hints = GivenHints(outcome=outcome)
    with client_of(hints, {"cache": {"degraded_ttl_s": 1e-6}}) as client:
        first = client.rewrite()
        assert (first.outcome, first.hints_version, list(first.hints)) == (pb.OUTCOME_COMPLETE, "", [])
        assert client.rewrite().source == source
        assert client.server.metric("iterqr_hints_total", outcome=outcome.value) == (
            1 if source == pb.SOURCE_CACHE else 2
        )


def test_a_source_that_breaks_its_promise_fails_the_call_and_not_the_server() -> None:
    class Broken(GivenHints):
        async def read(self, region: str, query: str) -> Hints:  # noqa: ARG002 - the protocol's parameters
            raise ValueError("a bug")

    with client_of(Broken()) as client:
        with pytest.raises(grpc.RpcError, match="internal error"):
            client.rewrite()
        assert client.server.metric("iterqr_generations_total", end="failed") == 1
