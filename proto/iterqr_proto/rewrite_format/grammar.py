"""The language of model outputs, as one regular expression.

A regular expression is the guide that every constrained decoder takes (TensorRT-LLM, llguidance, xgrammar), and that
Python's `re` can check.
"""

FORMAT_VERSION = "v1"
MAX_LINE_CHARS = 120


def grammar(max_rewrites: int) -> str:
    r"""Returns the pattern of a well-formed output with 1 to `max_rewrites` rewrites.

    It must match the whole output. Lines end in `\n`, except that the last may end with the output. Only constructs
    common to all regular-expression dialects are used.

    Raises:
        ValueError: `max_rewrites` is below 1.
    """
    if max_rewrites < 1:
        raise ValueError(f"max_rewrites: must be at least 1, got {max_rewrites}")
    value = rf"[^ \n][^\n]{{0,{MAX_LINE_CHARS - 1}}}"
    more = rf"(\nrw: {value}){{0,{max_rewrites - 1}}}" if max_rewrites > 1 else ""
    return rf"fix: {value}\nintent: {value}\nmeaning: {value}\nrw: {value}{more}\n?"
