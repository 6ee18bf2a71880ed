"""What a judge is: it reads a query and a rewrite or an item, and says how likely a person would say yes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from iterqr_training.labels.records import Kind, Pair, query_key


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged. `query` is normalized; `text` is a rewrite or an item's title, as `kind` says."""

    query: str
    text: str
    kind: Kind

    @property
    def pair(self) -> Pair:
        """What labels of it are about."""
        return Pair(query_key(self.query), query_key(self.text), self.kind)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Probabilities of yes, 0 to 1, for the two questions of `rewrite_format.scoring`; an item's quality is nothing."""

    quality: float
    relevance: float


@dataclass(frozen=True, slots=True)
class Usage:
    """What judging took. `cost` is in the currency of the prices that were given, None without prices."""

    requests: int = 0
    from_cache: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Judging:
    """Verdicts; `unreadable`: how many subjects were answered otherwise than asked, even one by one."""

    verdicts: Mapping[Subject, Verdict] = field(default_factory=dict)
    unreadable: int = 0
    usage: Usage = field(default_factory=Usage)


class Judge(Protocol):
    """Answers are kept or the same again, so that judging can be repeated. `name` is of the model, for reports."""

    name: str

    def judge(self, subjects: Sequence[Subject], on_judged: Callable[[int], None]) -> Judging:
        """Judges distinct subjects; `on_judged` is called with how many were judged since the last call.

        Raises:
            JudgeError: It does not answer, or is not the one that was asked for; what is known so far may be kept.
        """
