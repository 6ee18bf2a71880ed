"""Turns an engine's chunks into the rewrites that stand so far."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from iterqr_proto.rewrite_format import Field, Line, LineParser

from iterqr_server.engine.interface import FinishReason, GenerationChunk
from iterqr_server.rewrite.guard import Rejection, check_rewrite

MALFORMED = "malformed"
"""The reason under which lines that are not of the format are counted, beside those of `Rejection`."""


@dataclass(frozen=True, slots=True)
class ScoredRewrite:
    """A rewrite that passed the guard. `confidence` is the geometric mean of its line's token probabilities."""

    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Output:
    """What the model has said so far. Fields that it has not finished are empty."""

    fix: str = ""
    intent: str = ""
    meaning: str = ""
    rewrites: tuple[ScoredRewrite, ...] = ()


class OutputBuilder:
    """Reads one generation as it streams.

    The tokens of a chunk count for every line that the chunk's text touches, so confidences are exact when chunks
    do not span lines.
    """

    def __init__(self, query: str, max_rewrites: int) -> None:
        self._query = query
        self._max_rewrites = max_rewrites
        self._parser = LineParser()
        self._line_logprobs: list[float] = []
        self._fields: dict[Field, str] = {}
        self._rewrites: list[ScoredRewrite] = []
        self._lines = 0
        self.rejected: Counter[str] = Counter()

    @property
    def output(self) -> Output:
        """The finished lines so far."""
        return Output(
            fix=self._fields.get(Field.FIX, ""),
            intent=self._fields.get(Field.INTENT, ""),
            meaning=self._fields.get(Field.MEANING, ""),
            rewrites=tuple(self._rewrites),
        )

    @property
    def is_full(self) -> bool:
        """Whether generating more is pointless.

        There are enough rewrites, or the model has written twice the lines that a good answer has: it repeats itself.
        """
        return len(self._rewrites) >= self._max_rewrites or self._lines >= 2 * (3 + self._max_rewrites)

    def feed(self, chunk: GenerationChunk) -> None:
        """Takes the next chunk. After `is_full` nothing is taken any more."""
        head, *rest = chunk.text.split("\n")
        self._line_logprobs.extend(chunk.logprobs)
        self._take(self._parser.feed(head))
        for text in rest:
            self._take(self._parser.feed("\n" + text))
            self._line_logprobs = list(chunk.logprobs) if text else []
        if chunk.finish_reason is FinishReason.STOP:
            self._take(self._parser.finish())

    def _take(self, lines: list[Line]) -> None:
        for line in lines:
            if self.is_full:
                return
            self._lines += 1
            if line.field is Field.REWRITE:
                self._take_rewrite(line.value)
            elif line.field is None or line.field in self._fields:
                self.rejected[MALFORMED] += 1
            else:
                self._fields[line.field] = line.value

    def _take_rewrite(self, text: str) -> None:
        rejection: Rejection | None = check_rewrite(text, self._query, (r.text for r in self._rewrites))
        if rejection:
            self.rejected[rejection.value] += 1
        else:
            self._rewrites.append(ScoredRewrite(text, _geometric_mean(self._line_logprobs)))


def _geometric_mean(logprobs: list[float]) -> float:
    return min(1.0, math.exp(sum(logprobs) / len(logprobs))) if logprobs else 0.0
