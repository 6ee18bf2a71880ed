"""Which clients the canary gets. Pure."""

from __future__ import annotations

import hashlib

_BUCKETS = 10_000


def takes_canary(sticky_key: str, canary_id: str, percent: int) -> bool:
    """Whether the calls with this key go to the canary.

    The same for a key as long as the canary is the same; those that a small share takes, a larger one takes too. Each
    canary has clients of its own, so that not the same few meet all of them.
    """
    digest = hashlib.sha256(f"{canary_id}\0{sticky_key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % _BUCKETS < percent * (_BUCKETS // 100)
