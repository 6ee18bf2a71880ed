"""The frozen base model behind the rewrite server's gRPC contract: a judge, and a source of chains of thought.

Every reply names the checkpoint that made it. It must be the base's: a student that judges itself, or writes the
reasoning that it is trained on, learns to agree with itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2_grpc as pb_grpc
from iterqr_proto.rewrite_format import MAX_LINE_CHARS, SCORING_VERSION

from iterqr_training.errors import JudgeError, SettingError
from iterqr_training.labels.judging import Judging, Subject, Usage, Verdict
from iterqr_training.labels.verdict_cache import VerdictCache

_MAX_REWRITES = 64  # of one call
_TENANT = "iterqr-training"
_RETRIES = {
    "methodConfig": [
        {
            "name": [{"service": "iterqr.rewrite.v1.QueryRewriteService"}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.2s",
                "maxBackoff": "5s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
            },
        }
    ]
}


@dataclass(frozen=True, slots=True)
class BaseSettings:
    """Attributes: address (host:port), checkpoint_id of the base model there, timeout_s of one call.

    Raises:
        SettingError: One of them is empty or out of its limits.
    """

    address: str
    checkpoint_id: str
    timeout_s: float = 120.0

    def __post_init__(self) -> None:
        if not self.address:
            raise SettingError("server must be host:port")
        if not self.checkpoint_id:
            raise SettingError("base_checkpoint must name the base model's checkpoint: a student must not judge itself")
        if not 0.1 <= self.timeout_s <= 86_400:
            raise SettingError(f"timeout_s is {self.timeout_s}, and must be from 0.1 to 86400")


class BaseServer:
    """One connection. See `Judge`; `rewrite` is for chains of thought."""

    def __init__(self, settings: BaseSettings, cache: VerdictCache) -> None:
        self.name = settings.checkpoint_id
        self._cache = cache
        self._settings = settings
        options = [("grpc.enable_http_proxy", 0), ("grpc.service_config", json.dumps(_RETRIES))]
        self._channel = grpc.insecure_channel(settings.address, options)
        self._service = pb_grpc.QueryRewriteServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def judge(self, subjects: Sequence[Subject], on_judged: Callable[[int], None]) -> Judging:
        """See `Judge`. The subjects of one query share its prompt, so they go together. A longer title is cut."""
        verdicts = {each: known for each in subjects if (known := self._cache.find(self._asked(each))) is not None}
        from_cache = len(verdicts)
        on_judged(from_cache)
        by_query: dict[str, list[Subject]] = {}
        for each in subjects:
            if each not in verdicts:
                by_query.setdefault(each.query, []).append(each)
        requests = 0
        for query, group in by_query.items():
            for start in range(0, len(group), _MAX_REWRITES):
                batch = group[start : start + _MAX_REWRITES]
                for subject, verdict in zip(
                    batch, self._score(query, [each.text[:MAX_LINE_CHARS] for each in batch]), strict=True
                ):
                    self._cache.keep(self._asked(subject), verdict)
                    verdicts[subject] = verdict
                requests += 1
                on_judged(len(batch))
        return Judging(verdicts, usage=Usage(requests, from_cache))

    def rewrite(self, queries: Sequence[tuple[str, str]]) -> Iterator[tuple[int, pb.RewriteQueryResponse | str]]:
        """Rewrites queries (text and region) in one stream.

        Yields:
            The place of a query and its reply, or why it has none, in order of completion.

        Raises:
            JudgeError: The server does not answer, or serves another checkpoint.
        """
        requests = (
            pb.RewriteQueriesRequest(
                request=pb.RewriteQueryRequest(query=query, region=region, tenant=_TENANT, request_id=f"chain-{place}")
            )
            for place, (query, region) in enumerate(queries)
        )
        try:
            for reply in self._service.RewriteQueries(requests, wait_for_ready=True):
                place = int(reply.request_id.removeprefix("chain-"))
                if reply.WhichOneof("result") == "failure":
                    yield place, reply.failure.message
                    continue
                self._check(reply.response.checkpoint_id)
                yield place, reply.response
        except grpc.RpcError as error:
            raise self._fault(error) from error

    def _asked(self, subject: Subject) -> Mapping[str, str]:
        """All that the score depends on."""
        return {
            "checkpoint": self._settings.checkpoint_id,
            "scoring": SCORING_VERSION,
            "query": subject.query,
            "text": subject.text,
        }

    def _score(self, query: str, texts: Sequence[str]) -> list[Verdict]:
        request = pb.ScoreRewritesRequest(query=query, rewrites=texts, tenant=_TENANT)
        try:
            reply = self._service.ScoreRewrites(request, timeout=self._settings.timeout_s, wait_for_ready=True)
        except grpc.RpcError as error:
            raise self._fault(error) from error
        self._check(reply.checkpoint_id)
        return [Verdict(score.quality, score.relevance) for score in reply.scores]

    def _check(self, told: str) -> None:
        if told != self._settings.checkpoint_id:
            raise JudgeError(
                f"server {self._settings.address} serves checkpoint {told!r}, and the base is "
                f"{self._settings.checkpoint_id!r}: a student must not judge itself"
            )

    def _fault(self, error: grpc.RpcError) -> JudgeError:
        ended: Any = error  # a grpc.Call too, which the library's types do not say
        detail = ended.details() or ""
        return JudgeError(f"server {self._settings.address}: {ended.code().name} {detail}".rstrip())
