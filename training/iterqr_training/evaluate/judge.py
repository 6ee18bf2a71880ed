"""A model's opinion of rewrites, asked once and kept: `judgments.jsonl`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import grpc
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr.rewrite.v1.query_rewrite_service_pb2_grpc import QueryRewriteServiceStub

from iterqr_training.errors import SourceError
from iterqr_training.evaluate.json_lines import JsonLines

SCHEMA = "iterqr-judgments/v1"
RELEVANT = 0.5
"""A rewrite keeps the need if the judge's probability is at least this."""
_MAX_REWRITES, _MAX_CHARACTERS = 64, 120
_DEADLINE_S = 300.0


@dataclass(frozen=True, slots=True)
class Judgment:
    """Of one rewrite of one query: probabilities that it is a usable query, and that it keeps the user's need."""

    query: str
    rewrite: str
    quality: float
    relevance: float


class RewriteJudge(Protocol):
    """Judges rewrites. Never the model that made them."""

    @property
    def identity(self) -> str:
        """Which model."""
        ...

    def judge(self, query: str, rewrites: tuple[str, ...]) -> tuple[Judgment, ...]:
        """Returns a judgment for each rewrite.

        Raises:
            SourceError: The judge cannot be reached.
        """
        ...


class ServerJudge:
    """A rewrite server's `ScoreRewrites`: meant for the frozen base model."""

    def __init__(self, channel: grpc.Channel) -> None:
        """Asks once to learn which checkpoint judges.

        Raises:
            SourceError: It cannot be reached.
        """
        self._stub = QueryRewriteServiceStub(channel)
        self.checkpoint_id = self._ask("noodle soup", ("soup with noodles",)).checkpoint_id
        self.identity = f"{self.checkpoint_id}/score-rewrites"

    def judge(self, query: str, rewrites: tuple[str, ...]) -> tuple[Judgment, ...]:
        """See `RewriteJudge`."""
        judged: list[Judgment] = []
        for start in range(0, len(rewrites), _MAX_REWRITES):
            part = rewrites[start : start + _MAX_REWRITES]
            scores = self._ask(query, tuple(each[:_MAX_CHARACTERS] for each in part)).scores
            judged += (Judgment(query, text, s.quality, s.relevance) for text, s in zip(part, scores, strict=True))
        return tuple(judged)

    def _ask(self, query: str, rewrites: tuple[str, ...]) -> pb.ScoreRewritesResponse:
        try:
            return self._stub.ScoreRewrites(
                pb.ScoreRewritesRequest(query=query, rewrites=rewrites), timeout=_DEADLINE_S
            )
        except grpc.RpcError as error:
            raise SourceError(f"judge: {query!r} could not be judged: {error.code().name}") from error


def judge_all(
    judge: RewriteJudge, pairs: Iterable[tuple[str, str]], folder: Path, on_query: Callable[[], None]
) -> Mapping[tuple[str, str], Judgment]:
    """Returns the judgment of each pair of query and rewrite; those that are in the folder are not asked again.

    Raises:
        SourceError: The judge cannot be reached.
        StoreError: The folder cannot be used, or holds another judge's judgments.
    """
    wanted: dict[str, dict[str, None]] = defaultdict(dict)
    for query, rewrite in pairs:
        wanted[query][rewrite] = None
    with JsonLines(folder / "judgments.jsonl", SCHEMA, judge.identity) as lines:
        known = {(each.query, each.rewrite): each for each in (Judgment(**record) for record in lines.records)}
        for query, rewrites in wanted.items():
            missing = tuple(rewrite for rewrite in rewrites if (query, rewrite) not in known)
            for each in judge.judge(query, missing) if missing else ():
                lines.append(asdict(each))
                known[each.query, each.rewrite] = each
            on_query()
    return {(query, rewrite): known[query, rewrite] for query, rewrites in wanted.items() for rewrite in rewrites}
