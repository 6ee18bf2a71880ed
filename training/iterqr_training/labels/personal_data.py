"""Texts that may name a person: they are neither sent to a judge nor learned from."""

from __future__ import annotations

import re

from iterqr_training.signals.attribution.personal_data import PERSONAL

_STREET = r"street|st|road|rd|avenue|ave|lane|drive|boulevard|blvd|highway|strasse|straße|str"
_ADDRESS = (
    rf"\b\d{{1,5}}[a-z]?,? (?:[^\W\d_][\w'’-]*,? ){{1,3}}(?:{_STREET})\b",  # 12 baker street
    r"\b(?:apt|apartment|flat|suite|unit)\.? ?(?:no\.? ?|#)?\d",  # apt 4
    r"\b(?:rue|calle|via|avenida)\b [\w'’ -]{2,40}\b\d{1,4}\b",  # calle mayor 7
    r"\w{3,}(?:strasse|straße|str\.|weg|platz|allee) \d{1,4}[a-z]?\b",  # hauptstraße 12
    r"\b(?:p\.? ?o\.? ?box|postfach) \d",
)
_PATTERNS = {
    # Attribution's patterns are for normalized text and for engines whose `\p{Nd}` is Python's `\d`.
    **{name: re.compile(pattern.replace(r"\p{Nd}", r"\d")) for name, pattern in PERSONAL.items()},
    "an address": re.compile("|".join(_ADDRESS)),
}


def personal_data(text: str) -> str | None:
    """Returns what tells of a person in a text, such as "an address"; None if nothing seems to."""
    lowered = text.lower()
    return next((name for name, pattern in _PATTERNS.items() if pattern.search(lowered)), None)
