"""Makes foreign text safe to stand on one line of a prompt."""

import unicodedata

_JOINERS = "\u200c\u200d"  # carry meaning in Persian, Indic scripts and emoji


def clean_text(text: str) -> str:
    """Returns `text` in NFC, on one line, without invisible characters.

    Control characters and every white space become a space, runs of spaces one, ends are trimmed. Format characters
    (bidirectional overrides, zero-width spaces), surrogates and private-use characters are removed. Text that looks
    like a model's control token stays: the tokenizer encodes it as plain text (see `Segment.is_data`).
    """
    kept = []
    for char in unicodedata.normalize("NFC", text):
        category = unicodedata.category(char)
        if category == "Cc" or category.startswith("Z"):
            kept.append(" ")
        elif char in _JOINERS or not category.startswith("C"):
            kept.append(char)
    return " ".join("".join(kept).split())
