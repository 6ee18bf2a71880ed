"""A gRPC endpoint that answers RewriteQuery with exactly the bytes a test wants.

For what the real service never sends, and for looking at what the plugin sends. Everything else uses the real service
of `support.rewrite_server`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb

Answer = Callable[[pb.RewriteQueryRequest], bytes]


@dataclass(frozen=True, slots=True)
class Call:
    """What the plugin sent."""

    request: pb.RewriteQueryRequest
    metadata: dict[str, str]


@dataclass(slots=True)
class ScriptedService:
    """The calls so far, and how to answer the next."""

    address: str
    answer: Answer
    calls: list[Call] = field(default_factory=list)


def reply(*texts: str) -> pb.RewriteQueryResponse:
    """A well-formed reply with these rewrites."""
    return pb.RewriteQueryResponse(
        outcome=pb.OUTCOME_COMPLETE,
        source=pb.SOURCE_GENERATED,
        rewrites=[
            pb.Rewrite(rewrite_id=f"{number:016x}", text=text, confidence=0.5) for number, text in enumerate(texts, 1)
        ],
        checkpoint_id="scripted",
        format_version="v1",
    )


def answers(*texts: str) -> Answer:
    """Answers every call with these rewrites."""
    data = reply(*texts).SerializeToString()
    return lambda _request: data


def fails(code: grpc.StatusCode) -> Answer:
    """Answers every call with an error."""

    def answer(_request: pb.RewriteQueryRequest) -> bytes:
        raise _RefusalError(code)

    return answer


class _RefusalError(Exception):
    def __init__(self, code: grpc.StatusCode) -> None:
        self.code = code


@contextmanager
def scripted_service(
    answer: Answer,
    *,
    compression: grpc.Compression = grpc.Compression.NoCompression,
    credentials: grpc.ServerCredentials | None = None,
) -> Iterator[ScriptedService]:
    """Runs the endpoint on a free port; with credentials it speaks TLS."""
    lock = threading.Lock()
    server = grpc.server(ThreadPoolExecutor(max_workers=4), compression=compression)
    anywhere = "127.0.0.1:0"
    port = server.add_secure_port(anywhere, credentials) if credentials else server.add_insecure_port(anywhere)
    service = ScriptedService(address=f"127.0.0.1:{port}", answer=answer)

    def rewrite_query(request: pb.RewriteQueryRequest, context: grpc.ServicerContext) -> bytes:
        sent: Sequence[tuple[str, str | bytes]] = context.invocation_metadata() or ()
        metadata = {key: value for key, value in sent if isinstance(value, str)}
        with lock:
            service.calls.append(Call(request, metadata))
        try:
            return service.answer(request)
        except _RefusalError as refusal:
            context.abort(refusal.code, "scripted")

    handler = grpc.unary_unary_rpc_method_handler(
        rewrite_query,
        request_deserializer=pb.RewriteQueryRequest.FromString,
        response_serializer=lambda data: data,
    )
    name = "iterqr.rewrite.v1.QueryRewriteService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {"RewriteQuery": handler}),))
    server.start()
    try:
        yield service
    finally:
        server.stop(grace=None).wait()
