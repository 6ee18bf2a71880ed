"""A case of the attribution catalog: documents, a query, scripted rewrites, and what each channel must retrieve.

What is expected is written by hand or follows from how a case is built; nothing here asks OpenSearch or the plugin.

A document is written as its words, `"pad*3 thai"` for a title with pad three times and thai once. Titles are scored by
counting: a document's score in a channel is how often it has the channel's words, so `pad` scores the document above
with 3 and `pad thai` with 4. Equal scores rank by the order of the documents in the table, which is the order they are
indexed in. So every rank and every score can be read off the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from support.scripted_service import Answer

ORIGINAL = "original"
DEFAULT_INDEX = "a"

Shape = Callable[[str], Mapping[str, Any]]
"""A query for a text."""


@dataclass(frozen=True, slots=True)
class Document:
    """`words` as in the module's docstring; `fields` beside the title; `routing` of the document, if any."""

    words: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    routing: str | None = None

    @property
    def counts(self) -> Mapping[str, int]:
        """How often the title has each word."""
        counted: dict[str, int] = {}
        for word in self.words.split():
            text, _, times = word.partition("*")
            counted[text] = counted.get(text, 0) + int(times or 1)
        return counted

    @property
    def title(self) -> str:
        """The text that is indexed."""
        return " ".join(" ".join([text] * times) for text, times in self.counts.items())


Scoring = Callable[[str, Document], float]
"""The score of a document in the channel of a text."""


def counting(text: str, document: Document) -> float:
    """How often the document has the text's words."""
    return float(sum(document.counts.get(word, 0) for word in text.split()))


@dataclass(frozen=True, slots=True)
class Weights:
    """Of the fusion."""

    original: float = 1.0
    rewrite: float = 0.5
    rank_constant: int = 60


@dataclass(frozen=True, slots=True)
class Tag:
    """One channel of one hit; the score is None where a case does not know it."""

    page: int
    document: str
    channel: str
    rank: int
    score: float | None


@dataclass(frozen=True, slots=True)
class Delete:
    """Takes a document away."""

    document: str


@dataclass(frozen=True, slots=True)
class Put:
    """Writes a document, new or over the one that is there."""

    document: str
    to: Document


Change = Delete | Put


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One constructed search.

    Attributes:
        documents: By name: `x` is the document with that id in index a, `x@b` the one in index b.
        rewrites: As the server replies, the n-th with id n.
        windows: What must be retrieved, best first: by the original, then by each rewrite; None for a rewrite that must
            be dropped because it repeats the query or another.
        clauses: Windows of the query's named vector clauses, by name; `clause_scoring` scores a document in each.
        shape: The user's query for a text.
        body: Further members of the search's body; `params` of its URL.
        target: What is searched: names of indices and aliases in braces.
        aliases: Bodies of alias actions by the alias's name, each with an `index` in braces.
        pages: From and size, one search each; later ones with the first's token.
        page: Names on the first page, for searches that are not fused; of fused ones they follow from the windows.
        scoring: None where scores are not known by construction.
        before, between: What changes before the search, and after its original search while rewrites are awaited.
            `words_after` are the documents the windows then see, where they differ.
        answer: In place of a reply with the rewrites.
        tagged: Whether hits of a search that is not fused must carry the original's tag.
    """

    kind: str
    name: str
    documents: Mapping[str, Document]
    query: str
    rewrites: tuple[str, ...]
    windows: tuple[tuple[str, ...] | None, ...]
    clauses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    clause_scoring: Callable[[Document], float] | None = None
    outcome: str = "fused"
    shape: Shape
    body: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    target: str = "{a}"
    aliases: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    shards: int = 1
    window_size: int = 50
    max_rewrites: int = 8
    weights: Weights = field(default_factory=Weights)
    pages: tuple[tuple[int, int], ...] = ((0, 20),)
    page: tuple[str, ...] | None = None
    scoring: Scoring | None = counting
    before: tuple[Change, ...] = ()
    between: tuple[Change, ...] = ()
    answer: Answer | None = None
    tagged: bool = True
    ext: Mapping[str, Any] = field(default_factory=dict)

    @property
    def indices(self) -> tuple[str, ...]:
        """Letters of the indices that the documents are in."""
        return tuple(sorted({index_of(name) for name in self.documents} | {DEFAULT_INDEX}))

    def expected_pages(self) -> tuple[tuple[str, ...], ...]:
        """Names of the documents on each page."""
        if self.page is not None:
            return (self.page,)
        order = fused_order(self.windows, self.weights, list(self._seen()))
        return tuple(tuple(order[start : start + size]) for start, size in self.pages)

    def expected_tags(self) -> list[Tag]:
        """Every tag of every page."""
        tags = []
        for number, page in enumerate(self.expected_pages()):
            for document in page:
                tags += [
                    Tag(number, document, channel, rank, self._score(channel, document))
                    for channel, rank in self._channels(document)
                ]
        return tags

    def expected_retrieved(self) -> list[tuple[str, int]]:
        """Each kept rewrite's text and how many hits it must have retrieved; empty where nothing is fused."""
        if self.outcome != "fused":
            return []
        return [
            (text.strip(), len(window))
            for text, window in zip(self.rewrites, self.windows[1:], strict=True)
            if window is not None
        ]

    def _channels(self, document: str) -> list[tuple[str, int]]:
        if self.outcome != "fused":
            window = self.windows[0] or ()
            return [(ORIGINAL, window.index(document) + 1)] if self.tagged and document in window else []
        named = [(channel_name(number), window) for number, window in enumerate(self.windows)]
        named += [(clause_channel(name), window) for name, window in self.clauses.items()]
        return [
            (channel, window.index(document) + 1)
            for channel, window in named
            if window is not None and document in window
        ]

    def _score(self, channel: str, document: str) -> float | None:
        if self.scoring is None:
            return None
        if channel in map(clause_channel, self.clauses):
            return self.clause_scoring(self._seen()[document]) if self.clause_scoring else None
        number = 0 if channel == ORIGINAL else int(channel.removeprefix("rewrite "))
        text = self.query if number == 0 else self.rewrites[number - 1]
        seen = self.documents if self.outcome != "fused" else self._seen()
        return self.scoring(text, seen[document])

    def _seen(self) -> Mapping[str, Document]:
        """The documents as the windows see them, in the order of their last writing."""
        seen = dict(self.documents)
        for change in (*self.before, *self.between):
            seen.pop(change.document, None)
            if isinstance(change, Put):
                seen[change.document] = change.to
        return seen


def channel_name(number: int) -> str:
    """Of the original, number 0, or of the n-th rewrite."""
    return f"rewrite {number}" if number else ORIGINAL


def clause_channel(name: str) -> str:
    """Of a named vector clause of the user's query."""
    return f"{ORIGINAL}/{name}"


def index_of(name: str) -> str:
    """The letter of the index that a document is in."""
    return name.partition("@")[2] or DEFAULT_INDEX


def identifier_of(name: str) -> str:
    """The id that a document has in its index."""
    return name.partition("@")[0]


def fused_order(windows: Sequence[Sequence[str] | None], weights: Weights, written: Sequence[str]) -> list[str]:
    """Documents by weighted reciprocal rank fusion; equal ones by their best rank, then as they were written."""
    scores: dict[str, float] = {}
    best: dict[str, int] = {}
    for number, window in enumerate(windows):
        weight = weights.rewrite if number else weights.original
        for rank, document in enumerate(window or (), 1):
            scores[document] = scores.get(document, 0.0) + weight / (weights.rank_constant + rank)
            best[document] = min(best.get(document, rank), rank)
    return sorted(scores, key=lambda name: (-scores[name], best[name], index_of(name), written.index(name)))


def match_title(text: str) -> dict[str, Any]:
    """The query of most cases."""
    return {"match": {"title": text}}


def make(
    kind: str,
    name: str,
    documents: Mapping[str, str | Document],
    query: str,
    rewrites: Sequence[str],
    windows: Sequence[str | None],
    **rest: Any,  # noqa: ANN401 - fields of Case
) -> Case:
    """A case in short form: documents as words, windows as names with spaces between them."""
    rest.setdefault("shape", match_title)
    rest["clauses"] = {name: tuple(window.split()) for name, window in rest.get("clauses", {}).items()}
    if isinstance(rest.get("page"), str):
        rest["page"] = tuple(rest["page"].split())
    return Case(
        kind=kind,
        name=name,
        documents={
            name: document if isinstance(document, Document) else Document(document)
            for name, document in documents.items()
        },
        query=query,
        rewrites=tuple(rewrites),
        windows=tuple(None if window is None else tuple(window.split()) for window in windows),
        **rest,
    )
