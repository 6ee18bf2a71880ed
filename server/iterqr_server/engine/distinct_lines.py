"""Keeps an output from saying one thing twice: a line of the kind is not like one before it, and does not extend one.

A small model that decodes greedily repeats itself, and a repeated line is dropped, so its tokens were for nothing. Made
to go on, it adds a word to the line, then another ("curry", "curry with rice", "curry with rice and rice"), and such
lines find what the first one found. No regular expression says this, as it depends on what was written before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from iterqr_proto.rewrite_format import comparison_form
from numpy.typing import NDArray

from iterqr_server.engine.guide import Guide

_SPACE = b" "


class LineTokens:
    """The tokens of a vocabulary that end a line or the output, and those that begin a word after a space.

    `before`: text of each up to the line's end, by id. `bare`: ids of those that add no word to the line; `worded`: the
    others. `words`: id by text, of those that begin a word.
    """

    def __init__(self, texts: Iterable[bytes], stop_id: int) -> None:
        """`texts`: of the tokens, by id."""
        self.before: dict[int, str] = {stop_id: ""}
        self.words: dict[bytes, int] = {}
        for i, text in enumerate(texts):
            if b"\n" in text:
                self.before[i] = _text(text.partition(b"\n")[0])
            elif text.startswith(_SPACE) and text != _SPACE:
                self.words[text] = i
        ids = np.array(sorted(self.before), dtype=np.int64)
        is_bare = np.array([not comparison_form(self.before[i]) for i in ids.tolist()])
        self.bare: NDArray[np.int64] = ids[is_bare]
        self.worded: NDArray[np.int64] = ids[~is_bare]

    def beginning(self, word: bytes) -> list[int]:
        """Returns the tokens that a space and the word can begin with, but for the space alone."""
        spaced = _SPACE + word
        found = (self.words.get(spaced[:end]) for end in range(2, len(spaced) + 1))
        return [token_id for token_id in found if token_id is not None]


class DistinctLines:
    """A `Guide` within another. Lines are alike by their words (`comparison_form`).

    A line extends one of two words or more that it begins with: what came before that one's last word is not followed
    by that word again. Where the other guide leaves no way but to repeat or to extend a line, that is done.
    """

    def __init__(self, within: Guide, kind: str, tokens: LineTokens, text_of: Callable[[int], bytes]) -> None:
        """`kind`: what lines begin with that are kept distinct. `text_of`: of a token."""
        self._within = within
        self._kind = kind
        self._tokens = tokens
        self._text_of = text_of
        self._line = b""
        self._known: set[str] = set()
        self._barred: dict[bytes, set[int]] = {}

    def allows(self, token_id: int) -> bool:
        """See `Guide`."""
        if not self._within.allows(token_id):
            return False
        before = self._tokens.before.get(token_id)
        is_barred = before is not None and self._repeats(before)
        is_barred = is_barred or token_id in self._barred.get(self._line, ())
        return not is_barred or not self._new(self._within.mask()).any()

    def mask(self) -> NDArray[np.bool_]:
        """See `Guide`."""
        allowed = self._within.mask()
        new = self._new(allowed)
        return new if new.any() else allowed

    def advance(self, token_id: int) -> None:
        """See `Guide`."""
        self._within.advance(token_id)
        *ended, self._line = (self._line + self._text_of(token_id)).split(b"\n")
        for line in ended:
            text = _text(line)
            if text.startswith(self._kind):
                self._known.add(self._words(text))
                self._bar_extensions(line)

    @property
    def is_finished(self) -> bool:
        """See `Guide`."""
        return self._within.is_finished

    def _bar_extensions(self, line: bytes) -> None:
        stem, _, word = line.rstrip().rpartition(_SPACE)
        if stem.startswith(self._kind.encode()):  # there is a word before it
            self._barred.setdefault(stem, set()).update(self._tokens.beginning(word))

    def _new(self, allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
        if not self._known:
            return allowed
        new = allowed.copy()
        new[list(self._barred.get(self._line, ()))] = False
        if self._repeats(""):
            new[self._tokens.bare] = False
        worded = self._tokens.worded[allowed[self._tokens.worded]]
        new[[i for i in worded.tolist() if self._repeats(self._tokens.before[i])]] = False
        return new

    def _repeats(self, before: str) -> bool:
        line = _text(self._line) + before
        return line.startswith(self._kind) and self._words(line) in self._known

    def _words(self, line: str) -> str:
        return comparison_form(line.removeprefix(self._kind))


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="ignore")
