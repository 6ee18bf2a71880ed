"""The keyword baseline: spelling correction, synonyms and queries that led to the same clicks, as shops have them.

Everything is mined from past queries: no model. In order of trust: the corrected query; queries after which the same
objects were clicked (co-click: Craswell and Szummer, SIGIR 2007, one step); the query with a word replaced by one that
took its place in co-clicked queries; past queries that are spelt much alike.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from iterqr_proto.rewrite_format import comparison_form
from rapidfuzz import fuzz, process

from iterqr_training.evaluate.past_queries import PastQueries, PastQuery
from iterqr_training.evaluate.rewriter import Answer, RankedRewrite
from iterqr_training.evaluate.spelling import Spelling

MAX_REWRITES = 10
_LEAST_COSINE = 0.1  # of click vectors, to be co-clicked
_LEAST_LIKENESS = 82.0  # rapidfuzz ratio, 0 to 100, to be spelt alike
_CORRECTED, _REPLACED, _ALIKE = 0.9, 0.6, 0.4
_LEAST_SUPPORT = 2  # pairs of queries behind a synonym

Synonyms = Mapping[str, Sequence[str]]


class KeywordRewriter:
    """See the module."""

    name = "keyword"
    at_a_time = 1

    def __init__(self, past: PastQueries, vocabulary: Iterable[str] = ()) -> None:
        """Mines the past.

        Args:
            past: Queries and clicks.
            vocabulary: More texts whose words are spelt rightly, such as titles.
        """
        titles = list(vocabulary)
        words = hashlib.sha256("\n".join(titles).encode()).hexdigest()
        self.identity = f"keyword-1/{past.digest[:16]}/{words[:16]}"
        self._by_form = {
            region: {comparison_form(each.text): each for each in reversed(queries)}
            for region, queries in past.by_region.items()
        }
        self._by_object = {region: _by_object(past.clicked(region)) for region in past.by_region}
        self._forms = {
            region: [comparison_form(each.text) for each in past.clicked(region)] for region in past.by_region
        }
        self._synonyms = {region: self._mined(past.clicked(region), region) for region in past.by_region}
        clicked = [(each.text, sum(each.clicks.values())) for region in past.by_region for each in past.clicked(region)]
        self._spelling = Spelling([*clicked, *((title, 1) for title in titles)])

    def rewrite(self, query: str, region: str) -> Answer:
        """See `Rewriter`."""
        start = time.perf_counter()
        form = comparison_form(query)
        best: dict[str, float] = {}
        for text, score in self._candidates(form, region):
            if text and text != form:
                best[text] = max(score, best.get(text, 0.0))
        ranked = sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))[:MAX_REWRITES]
        taken_ms = 1000 * (time.perf_counter() - start)
        return Answer(query, region, tuple(RankedRewrite(text, score) for text, score in ranked), taken_ms)

    def _candidates(self, form: str, region: str) -> Iterator[tuple[str, float]]:
        corrected = self._spelling.correct(form)
        yield corrected, _CORRECTED
        for start, trust in ((form, 1.0), (corrected, _CORRECTED)):
            past = self._by_form.get(region, {}).get(start)
            if past is not None:
                yield from ((text, trust * cosine) for text, cosine in self._co_clicked(past, region))
        yield from ((text, _REPLACED) for text in _replaced(corrected, self._synonyms.get(region, {})))
        alike = process.extract(
            form,
            self._forms.get(region, []),
            scorer=fuzz.token_sort_ratio,
            limit=MAX_REWRITES,
            score_cutoff=_LEAST_LIKENESS,
        )
        yield from ((text, _ALIKE * likeness / 100) for text, likeness, _ in alike)

    def _co_clicked(self, past: PastQuery, region: str) -> Iterator[tuple[str, float]]:
        products: Counter[str] = Counter()
        others = self._by_object[region]
        for object_id, clicks in past.clicks.items():
            for other in others[object_id]:
                products[comparison_form(other.text)] += clicks * other.clicks[object_id]
        mine = _length(past)
        for text, product in products.items():
            cosine = product / (mine * _length(self._by_form[region][text]))
            if cosine >= _LEAST_COSINE:
                yield text, min(1.0, cosine)

    def _mined(self, queries: Sequence[PastQuery], region: str) -> Synonyms:
        """Words that stand for each other in queries that are otherwise equal and led to the same clicks."""
        support: Counter[tuple[str, str]] = Counter()
        for query in queries:
            form = comparison_form(query.text)
            for other, _ in self._co_clicked(query, region):
                if pair := _one_word_apart(form.split(), other.split()):
                    support[pair] += 1
        synonyms: dict[str, list[str]] = defaultdict(list)
        for (word, other), count in sorted(support.items(), key=lambda each: (-each[1], each[0])):
            if count >= _LEAST_SUPPORT:
                synonyms[word].append(other)
        return synonyms


def _by_object(queries: Iterable[PastQuery]) -> Mapping[str, Sequence[PastQuery]]:
    found: dict[str, list[PastQuery]] = defaultdict(list)
    for query in queries:
        for object_id in query.clicks:
            found[object_id].append(query)
    return found


def _length(query: PastQuery) -> float:
    return math.sqrt(sum(clicks**2 for clicks in query.clicks.values()))


def _one_word_apart(words: Sequence[str], others: Sequence[str]) -> tuple[str, str] | None:
    if len(words) != len(others) or len(words) < 2:
        return None
    different = [(word, other) for word, other in zip(words, others, strict=True) if word != other]
    return different[0] if len(different) == 1 else None


def _replaced(form: str, synonyms: Synonyms) -> Iterator[str]:
    words = form.split()
    for place, word in enumerate(words):
        for other in synonyms.get(word, ()):
            yield " ".join([*words[:place], other, *words[place + 1 :]])
