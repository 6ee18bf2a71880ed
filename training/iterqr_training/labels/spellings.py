"""How most people spell a query: by how often each spelling is searched for, after Cucerzan and Brill.

"Spelling correction as an iterative process that exploits the collective knowledge of web users" (EMNLP 2004) takes the
right spelling of a query to be the near one that most people use. So does this, once and for whole queries.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping

from rapidfuzz.distance import OSA
from symspellpy import SymSpell, Verbosity

_MAX_EDITS = 2
_CHARS_AN_EDIT = 4
_PREFIX_LENGTH = 7


class Spellings:
    """Knows the usual spelling of a query that many others spell otherwise. Nothing in it depends on the order."""

    def __init__(
        self,
        searches: Mapping[str, int],
        usable: Collection[str],
        reformulated: Collection[tuple[str, str]],
        ratio: float,
    ) -> None:
        """Learns how often what is searched for.

        Args:
            searches: How often each normalized query was searched for, over all users.
            usable: Queries that may be shown to others; only they are anybody's usual spelling.
            reformulated: Pairs of queries that users went from and to by themselves.
            ratio: A usual spelling is searched for at least so many times as often; above 1.
        """
        self._searches = searches
        self._reformulated = frozenset(reformulated)
        self._ratio = ratio
        self._words: Counter[str] = Counter()
        for text, count in searches.items():
            for word in set(text.split()):
                self._words[word] += count
        self._usual = SymSpell(max_dictionary_edit_distance=_MAX_EDITS, prefix_length=_PREFIX_LENGTH)
        for text in sorted(usable):
            if searches.get(text, 0) >= ratio:
                self._usual.create_dictionary_entry(text, searches[text])

    def usual(self, text: str) -> str | None:
        """Returns the usual spelling of a normalized query; None if its own is, as far as is known.

        It is near (see `is_near`) and searched for `ratio` times as often. If nobody went from the one to the other by
        themselves, it has as many words, and each word that differs is `ratio` times as frequent too, in all queries:
        "gluten free american" is no misspelling of "gluten free mexican". What differs in a digit is something else.
        """
        least = max(math.ceil(self._ratio * self._searches.get(text, 0)), 1)
        found = self._usual.lookup(text, Verbosity.ALL, max_edit_distance=_edits(text))
        near = [each for each in found if each.count >= least and is_near(text, each.term)]
        right = [each for each in near if self._is_of_the_same(text, each.term)]
        return min(right, key=lambda each: (-each.count, each.distance, each.term)).term if right else None

    def share(self, text: str, usual: str) -> float:
        """Returns the share of the searches for either that were for the usual spelling, above 0 and below 1."""
        return self._searches[usual] / (self._searches[usual] + self._searches[text])

    def _is_of_the_same(self, text: str, usual: str) -> bool:
        if _digits(text) != _digits(usual):
            return False
        if (text, usual) in self._reformulated:
            return True
        own, others = text.split(), usual.split()
        return len(own) == len(others) and all(
            self._words[other] >= self._ratio * self._words[word]
            for word, other in zip(own, others, strict=True)
            if word != other
        )


def is_near(one: str, other: str) -> bool:
    """Whether texts differ by slips: one edit for every four characters of the shorter, at most two.

    An edit inserts, deletes or replaces a character or swaps two neighbours (optimal string alignment).
    """
    most = min(_edits(one), _edits(other))
    return one != other and OSA.distance(one, other, score_cutoff=most) <= most


def _edits(text: str) -> int:
    return min(_MAX_EDITS, len(text) // _CHARS_AN_EDIT)


def _digits(text: str) -> str:
    return "".join(each for each in text if each.isdigit())
