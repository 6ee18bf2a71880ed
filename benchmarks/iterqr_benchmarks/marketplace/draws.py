"""Random decisions by name: who asks in which order, or how often, does not change what is drawn."""

from __future__ import annotations

import hashlib
import random

Key = str | int
_SEPARATOR = "\x1f"
_BITS = 53  # of a float's fraction


class Draws:
    """Numbers drawn from a seed and a key, such as (user, session, step, purpose).

    Two arms that ask with the same key get the same number (common random numbers), so that what differs between them
    comes from what they showed.
    """

    __slots__ = ("_seed",)

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def uniform(self, *key: Key) -> float:
        """A number from 0 up to, not including, 1."""
        digest = hashlib.blake2b(self._name(key), digest_size=8).digest()
        return (int.from_bytes(digest, "big") >> (64 - _BITS)) / (1 << _BITS)

    def stream(self, *key: Key) -> random.Random:
        """A generator of its own, where one decision needs several numbers."""
        return random.Random(hashlib.blake2b(self._name(key), digest_size=16).digest())

    def _name(self, key: tuple[Key, ...]) -> bytes:
        return _SEPARATOR.join([str(self._seed), *map(str, key)]).encode()
