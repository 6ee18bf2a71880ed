"""The form of a query in which two are compared."""

import unicodedata


def normalized(query: str) -> str:
    """Returns the query's words without case, accents, punctuation and spare spaces."""
    decomposed = unicodedata.normalize("NFKD", query.casefold().replace("đ", "d"))
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    return " ".join("".join(char if char.isalnum() else " " for char in bare).split())
