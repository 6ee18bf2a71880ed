"""Keeps an output from saying one thing twice: a line of the kind may not end while it is like one before it.

A small model that decodes greedily repeats itself, and a repeated line is dropped, so its tokens were for nothing. Made
to go on, the model makes the line say more. No regular expression says this, as it depends on what was written before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from iterqr_proto.rewrite_format import comparison_form
from numpy.typing import NDArray

from iterqr_server.engine.guide import Guide


class LineEnds:
    """The tokens of a vocabulary that end a line or the output.

    `before`: text of each up to the line's end, by id. `bare`: ids of those that add no word to the line; `worded`: the
    others.
    """

    def __init__(self, texts: Iterable[bytes], stop_id: int) -> None:
        """`texts`: of the tokens, by id."""
        self.before = {i: _text(text.partition(b"\n")[0]) for i, text in enumerate(texts) if b"\n" in text}
        self.before[stop_id] = ""
        ids = np.array(sorted(self.before), dtype=np.int64)
        is_bare = np.array([not comparison_form(self.before[i]) for i in ids.tolist()])
        self.bare: NDArray[np.int64] = ids[is_bare]
        self.worded: NDArray[np.int64] = ids[~is_bare]


class DistinctLines:
    """A `Guide` within another. Lines are alike by their words (`comparison_form`).

    Where the other leaves no way but to repeat a line, it is repeated.
    """

    def __init__(self, within: Guide, kind: str, ends: LineEnds, text_of: Callable[[int], bytes]) -> None:
        """`kind`: what lines begin with that are kept distinct. `text_of`: of a token."""
        self._within = within
        self._kind = kind
        self._ends = ends
        self._text_of = text_of
        self._line = b""
        self._known: set[str] = set()

    def allows(self, token_id: int) -> bool:
        """See `Guide`."""
        if not self._within.allows(token_id):
            return False
        before = self._ends.before.get(token_id)
        return before is None or not self._repeats(before) or not self._new(self._within.mask()).any()

    def mask(self) -> NDArray[np.bool_]:
        """See `Guide`."""
        allowed = self._within.mask()
        new = self._new(allowed)
        return new if new.any() else allowed

    def advance(self, token_id: int) -> None:
        """See `Guide`."""
        self._within.advance(token_id)
        *ended, self._line = (self._line + self._text_of(token_id)).split(b"\n")
        self._known.update(self._words(line) for line in map(_text, ended) if line.startswith(self._kind))

    @property
    def is_finished(self) -> bool:
        """See `Guide`."""
        return self._within.is_finished

    def _new(self, allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
        if not self._known:
            return allowed
        new = allowed.copy()
        if self._repeats(""):
            new[self._ends.bare] = False
        worded = self._ends.worded[allowed[self._ends.worded]]
        new[[i for i in worded.tolist() if self._repeats(self._ends.before[i])]] = False
        return new

    def _repeats(self, before: str) -> bool:
        line = _text(self._line) + before
        return line.startswith(self._kind) and self._words(line) in self._known

    def _words(self, line: str) -> str:
        return comparison_form(line.removeprefix(self._kind))


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="ignore")
