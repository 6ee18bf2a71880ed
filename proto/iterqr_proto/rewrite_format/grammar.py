"""The language of model outputs, as one regular expression.

A regular expression is the guide that every constrained decoder takes (TensorRT-LLM, llguidance, xgrammar), and that
Python's `re` can check.
"""

import re

FORMAT_VERSION = "v1"
MAX_LINE_CHARS = 120
MAX_UNLIKE_CHARS = 48  # of a query that rewrites are kept unlike; the pattern nests as deep, and dialects limit that


def grammar(max_rewrites: int, query: str = "", min_rewrites: int = 1) -> str:
    r"""Returns the pattern of a well-formed output with `min_rewrites` to `max_rewrites` rewrites.

    It must match the whole output. Lines end in `\n`, except that the last may end with the output. Only constructs
    common to all regular-expression dialects are used. With a query of up to `MAX_UNLIKE_CHARS`, no rewrite may be that
    query again, whatever its case: a rewrite that changes nothing is of no use.

    Raises:
        ValueError: `min_rewrites` is below 1, or `max_rewrites` below it.
    """
    if not 1 <= min_rewrites <= max_rewrites:
        raise ValueError(f"min_rewrites, max_rewrites: must be at least 1 and rise, got {min_rewrites}, {max_rewrites}")
    value = rf"[^ \n][^\n]{{0,{MAX_LINE_CHARS - 1}}}"
    rewrite = _other_than(query) if 0 < len(query) <= MAX_UNLIKE_CHARS else value
    more = rf"(\nrw: {rewrite}){{{min_rewrites - 1},{max_rewrites - 1}}}" if max_rewrites > 1 else ""
    return rf"fix: {value}\nintent: {value}\nmeaning: {value}\nrw: {rewrite}{more}\n?"


def _other_than(query: str) -> str:
    r"""Returns the pattern of values other than `query`: they part from it at some character, stop short, or go on.

    At each character: one that differs and then anything up to `MAX_LINE_CHARS` in all, or the same and so on.
    """
    pattern = rf" ?[^ \n][^\n]{{0,{MAX_LINE_CHARS - len(query) - 2}}}"  # the whole query, and then something
    for place, character in reversed(list(enumerate(query))):
        same = "".join(sorted({character, *(c for c in (character.lower(), character.upper()) if len(c) == 1)}))
        escaped = re.sub(r"([\\\]\[^-])", r"\\\1", same)
        rest = rf"[^\n]{{0,{MAX_LINE_CHARS - 1 - place}}}"
        differs = rf"[^{escaped}\n{' ' if place == 0 else ''}]{rest}"
        pattern = rf"({differs}|[{escaped}]{pattern})" + ("?" if place else "")
    return pattern
