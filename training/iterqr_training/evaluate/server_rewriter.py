"""A rewrite server as a system under comparison: the untuned model, or any checkpoint that one serves."""

from __future__ import annotations

import secrets
import time

import grpc
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr.rewrite.v1.query_rewrite_service_pb2_grpc import QueryRewriteServiceStub

from iterqr_training.errors import SourceError
from iterqr_training.evaluate.rewriter import Answer, RankedRewrite

MAX_REWRITES = 8
DEADLINE_S = 60.0
_RETRIED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
_ANSWERED = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.INVALID_ARGUMENT)  # worse, not unreachable
_WAITS_S = (0.5, 2.0, 8.0)
_PROBE = "noodle soup"


class ServerRewriter:
    """Asks a server, as a tenant of its own so that no cached reply hides what an answer takes."""

    def __init__(
        self,
        name: str,
        channel: grpc.Channel,
        *,
        max_rewrites: int = MAX_REWRITES,
        deadline_s: float = DEADLINE_S,
        at_a_time: int = 1,
    ) -> None:
        """Asks one query to learn what the server serves.

        Args:
            name: For people.
            channel: To the server; closed by the caller.
            max_rewrites: Asked for, 1 to 8.
            deadline_s: Of each call.
            at_a_time: Calls that may be made at the same time.

        Raises:
            SourceError: It cannot be reached.
        """
        self.name = name
        self.at_a_time = at_a_time
        self._stub = QueryRewriteServiceStub(channel)
        self._max_rewrites = max_rewrites
        self._deadline_s = deadline_s
        self._tenant = f"evaluate-{secrets.token_hex(8)}"
        try:
            reply = self._ask(_PROBE, "")
        except grpc.RpcError as error:
            raise SourceError(f"server {name}: the first query failed: {error.code().name}") from error
        self.checkpoint_id = reply.checkpoint_id
        self.identity = f"{reply.checkpoint_id}/{reply.format_version}/{max_rewrites}/{deadline_s:g}"

    def rewrite(self, query: str, region: str) -> Answer:
        """See `Rewriter`. A query that the server refuses or is too late for is an answer, a bad one."""
        start = time.perf_counter()
        try:
            reply = self._ask(query, region)
        except grpc.RpcError as error:
            if error.code() not in _ANSWERED:
                raise SourceError(f"server {self.name}: {query!r} failed: {error.code().name}") from error
            taken_ms = 1000 * (time.perf_counter() - start)
            return Answer(query, region, (), taken_ms, 0, well_formed=False, failure=error.code().name)
        if reply.checkpoint_id != self.checkpoint_id:
            change = f"{self.checkpoint_id} became {reply.checkpoint_id}"
            raise SourceError(f"server {self.name}: its checkpoint changed while it was asked: {change}")
        thought = reply.chain_of_thought
        return Answer(
            query,
            region,
            tuple(RankedRewrite(each.text, each.confidence) for each in reply.rewrites),
            reply.timings.total_us / 1000,
            reply.token_usage.generated_tokens,
            well_formed=bool(reply.rewrites or thought.fix or thought.intent or thought.meaning),
        )

    def _ask(self, query: str, region: str) -> pb.RewriteQueryResponse:
        request = pb.RewriteQueryRequest(
            query=query, region=region, max_rewrites=self._max_rewrites, tenant=self._tenant
        )
        for wait_s in _WAITS_S:
            try:
                return self._stub.RewriteQuery(request, timeout=self._deadline_s)
            except grpc.RpcError as error:
                if error.code() not in _RETRIED:
                    raise
            time.sleep(wait_s)
        return self._stub.RewriteQuery(request, timeout=self._deadline_s)
