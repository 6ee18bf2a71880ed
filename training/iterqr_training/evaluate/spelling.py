"""Spelling correction against the words of past queries (SymSpell)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from iterqr_proto.rewrite_format import comparison_form
from symspellpy import SymSpell

_MAX_EDITS = 2
_PREFIX_LENGTH = 7
_LEAST_COUNT = 2  # a word that was seen once is as likely a mistake


class Spelling:
    """Corrects queries towards words that are frequent."""

    def __init__(self, texts: Iterable[tuple[str, int]]) -> None:
        """Learns the words.

        Args:
            texts: Texts with how often each was seen.
        """
        counts: Counter[str] = Counter()
        for text, count in texts:
            for word in comparison_form(text).split():
                counts[word] += count
        self._known = frozenset(word for word, count in counts.items() if count >= _LEAST_COUNT)
        self._symspell = SymSpell(max_dictionary_edit_distance=_MAX_EDITS, prefix_length=_PREFIX_LENGTH)
        for word in sorted(self._known):
            self._symspell.create_dictionary_entry(word, counts[word])

    def correct(self, query: str) -> str:
        """Returns the query in `comparison_form` with unknown words, also wrongly split or joined ones, corrected.

        A query of known words comes back as it is; so does one that is like nothing known.
        """
        form = comparison_form(query)
        if not self._known or all(word in self._known for word in form.split()):
            return form
        found = self._symspell.lookup_compound(form, max_edit_distance=_MAX_EDITS)
        corrected = found[0].term if found else form
        return corrected if all(word in self._known for word in corrected.split()) else form
