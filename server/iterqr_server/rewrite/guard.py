"""Decides which of the model's rewrites reach users."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable

from iterqr_proto.rewrite_format import MAX_LINE_CHARS, comparison_form

MIN_WORD_CHARS = 2


class Rejection(enum.Enum):
    """Why a rewrite was dropped."""

    SAME_AS_QUERY = "same_as_query"
    DUPLICATE = "duplicate"
    TOO_LONG = "too_long"
    TOO_SHORT = "too_short"


def check_rewrite(text: str, query: str, accepted: Iterable[str]) -> Rejection | None:
    """Returns why `text` must not be served as a rewrite of `query`, or None if it may.

    `accepted` are the rewrites taken before. Texts are equal if they differ only in case, punctuation and spacing;
    query and rewrites that consist of punctuation alone are compared as they are.
    """
    form = comparison_form(text)
    if len(text) > MAX_LINE_CHARS:
        return Rejection.TOO_LONG
    if sum(char.isalnum() for char in form) < MIN_WORD_CHARS:
        return Rejection.TOO_SHORT
    if form == comparison_form(query):
        return Rejection.SAME_AS_QUERY
    if any(form == comparison_form(other) for other in accepted):
        return Rejection.DUPLICATE
    return None


def rewrite_id(checkpoint_id: str, normalized_query: str, text: str) -> str:
    """Returns 16 hexadecimal digits that name a rewrite for good: the same for the same three texts."""
    digest = hashlib.sha256()
    for part in (checkpoint_id, normalized_query, text):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return digest.hexdigest()[:16]
