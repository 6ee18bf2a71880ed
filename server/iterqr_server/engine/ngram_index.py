"""Which tokens followed which, in texts that an output may repeat."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

MAX_MATCH = 6  # tokens of context that are looked up at most


class NgramIndex:
    """Counts of the token after each run of 1 to `MAX_MATCH` tokens.

    With `max_texts`, the oldest text is forgotten when there is one more.
    """

    def __init__(self, max_texts: int = 0) -> None:
        self._next: dict[tuple[int, ...], dict[int, int]] = {}
        self._max_texts = max_texts
        self._texts: deque[tuple[tuple[int, ...], int]] = deque()

    def add(self, tokens: Sequence[int], first: int = 1) -> None:
        """Counts the tokens from index `first` on; those before it are context only."""
        if self._max_texts:
            self._texts.append((tuple(tokens), first))
            if len(self._texts) > self._max_texts:
                self._forget(*self._texts.popleft())
        for end in range(max(1, first), len(tokens)):
            self.add_last(tokens[max(0, end - MAX_MATCH) : end + 1])

    def add_last(self, tokens: Sequence[int]) -> None:
        """Counts the last token as the one after those before it; what is added this way is not forgotten."""
        *context, token = tokens
        for length in range(1, min(MAX_MATCH, len(context)) + 1):
            counts = self._next.setdefault(tuple(context[-length:]), {})
            counts[token] = counts.get(token, 0) + 1

    def after(self, context: tuple[int, ...]) -> Mapping[int, int] | None:
        """Returns how often each token followed exactly `context`; None if it never occurred."""
        return self._next.get(context)

    def _forget(self, tokens: tuple[int, ...], first: int) -> None:
        for end in range(max(1, first), len(tokens)):
            for length in range(1, min(MAX_MATCH, end) + 1):
                context = tokens[end - length : end]
                counts = self._next[context]
                counts[tokens[end]] -= 1
                if not counts[tokens[end]]:
                    del counts[tokens[end]]
                    if not counts:
                        del self._next[context]
