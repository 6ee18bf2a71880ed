"""Two readings of a text: the one that is rewritten, and the one that is compared."""

import unicodedata

from iterqr_proto.rewrite_format.text import clean_text


def normalize_query(query: str) -> str:
    """Returns the query as it is prompted, cached and looked up: cleaned and in lower case.

    The prompt is made from this text, never from the user's spelling, so that equal cache keys mean equal prompts.
    """
    return clean_text(query).lower()


def comparison_form(text: str) -> str:
    """Returns the words of a text, case, punctuation and spacing apart: "Pad-Thai!" and "pad thai" are equal."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = [char if _is_word_char(char) else " " for char in folded]
    return " ".join("".join(kept).split())


def _is_word_char(char: str) -> bool:
    return unicodedata.category(char)[0] in "LNM"
