"""A label: whether a rewrite or an item is good for a query, who says so, and how sure that is."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, datetime

from iterqr_proto.rewrite_format import MAX_LINE_CHARS, comparison_form, normalize_query

from iterqr_training.dataset.rows import Band, LabelSource, Task

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""`observed_at` of a label of which nobody says when."""


MAX_QUERY_CHARS = 256
MAX_TITLE_CHARS = 256


class Kind(enum.StrEnum):
    """What is judged. Items have labels of relevance only."""

    REWRITE = "rewrite"
    ITEM = "item"


@dataclass(frozen=True, slots=True)
class Pair:
    """What a label is about, whoever gives it: texts are compared by their words (`comparison_form`)."""

    query_key: str
    subject_key: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Label:
    """One label.

    Attributes:
        task: QUALITY or RELEVANCE.
        query: Normalized.
        region: "" of a person's label is every region.
        subject: The rewrite, or the item's title.
        kind: Which of them it is.
        positive: Yes or no.
        weight: Above 0, at most 1: 1 is certain.
        source: Who says so.
        observed_at: The latest search or event behind it.
        band: Of the query.
        clients: Different ones who searched with the query, and with the subject of a reformulation; 0 if it was never
            logged.
    """

    task: Task
    query: str
    region: str
    subject: str
    kind: Kind
    positive: bool
    weight: float
    source: LabelSource
    observed_at: datetime = EPOCH
    band: Band = Band.TAIL
    clients: int = 0

    @property
    def pair(self) -> Pair:
        """What it is about."""
        return Pair(query_key(self.query), query_key(self.subject), self.kind)

    @property
    def order(self) -> tuple[str, ...]:
        """Where it stands in a file: no two labels of one have the same."""
        return (self.task, self.query, self.region, self.kind, self.subject, self.source)


def max_chars(kind: Kind) -> int:
    """Of a subject: a rewrite is a line of the format."""
    return MAX_TITLE_CHARS if kind is Kind.ITEM else MAX_LINE_CHARS


def query_key(text: str) -> str:
    """The words of a text, case, punctuation and spacing apart; the normalized text if it has none."""
    return comparison_form(text) or normalize_query(text)
