"""Which prompt tokens the double finds computed: whole blocks in a tree for each salt, the rest by partial copies."""

from __future__ import annotations

from typing import Any


class BlockTree:
    """Knows blocks by all tokens up to their end. Nothing is ever evicted."""

    def __init__(self, config: Any) -> None:  # noqa: ANN401 - KvCacheConfig, made from the facts
        self._size: int = config.tokens_per_block
        self._reuses: bool = config.enable_block_reuse
        self._known: set[tuple[str | None, tuple[int, ...]]] = set()

    @property
    def blocks(self) -> int:
        """Blocks in the tree."""
        return len(self._known)

    def cached_tokens(self, salt: str | None, prompt: list[int]) -> int:
        """Tokens of a prompt in blocks that are known; its last token is always computed."""
        found = 0
        while self._reuses and (salt, tuple(prompt[: found + self._size])) in self._known:
            found += self._size
            if found + self._size > len(prompt) - 1:
                break
        return min(found, len(prompt) - 1)

    def keep(self, salt: str | None, prompt: list[int]) -> None:
        """A prompt was computed: its full blocks enter the tree."""
        for end in range(self._size, len(prompt) + 1, self._size):
            self._known.add((salt, tuple(prompt[:end])))
