"""Finished rewrites, kept in memory by everything they depend on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import TLRUCache

from iterqr_server.rewrite.output_builder import Output


@dataclass(frozen=True, slots=True)
class CacheKey:
    """Everything that a result depends on. Also what makes two running calls the same generation."""

    tenant: str
    region: str
    checkpoint_id: str
    format_version: str
    hints_version: str
    query: str
    max_rewrites: int


@dataclass(frozen=True, slots=True)
class CachedResult:
    """A finished generation. One without rewrites is a result too: it spares asking the model again."""

    output: Output
    hints: tuple[str, ...]
    hints_version: str


class ResultCache:
    """Bounded; entries leave when their time is over or when they are the least recently used of too many."""

    def __init__(self, max_entries: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._entries: TLRUCache[CacheKey, tuple[CachedResult, float]] = TLRUCache(
            max_entries, ttu=lambda _key, entry, now: now + entry[1], timer=clock
        )

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: CacheKey) -> CachedResult | None:
        """Returns the entry if it is there and not too old."""
        entry = self._entries.get(key)
        return entry[0] if entry else None

    def put(self, key: CacheKey, result: CachedResult, ttl_s: float) -> None:
        """Keeps a result for `ttl_s` seconds, unless the cache has no room at all."""
        if self._entries.maxsize > 0:
            self._entries[key] = (result, ttl_s)
