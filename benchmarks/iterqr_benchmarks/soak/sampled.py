"""Which searches the plugin must log at a sampling rate, computed apart from it."""

from __future__ import annotations

import hashlib

_PURPOSE = b"iterqr.sample\0"
_BITS = 53


def is_sampled(query_id: str, rate: float) -> bool:
    """Whether a search without client id is logged: the first 53 bits of SHA-256, as a fraction, are below the rate."""
    digest = hashlib.sha256(_PURPOSE + query_id.encode()).digest()
    fraction: float = (int.from_bytes(digest[:8], "big") >> (64 - _BITS)) * 2.0**-_BITS
    return fraction < rate
