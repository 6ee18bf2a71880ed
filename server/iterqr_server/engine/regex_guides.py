"""Guides that are regular expressions. The only file that imports llguidance."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from llguidance import LLMatcher, LLTokenizer
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask
from numpy.typing import NDArray

from iterqr_server.engine.distinct_lines import DistinctLines, LineTokens
from iterqr_server.engine.guide import Guide

_PATTERNS = 64  # kept compiled; a pattern takes one or two milliseconds


class RegexGuides:
    """Guides by llguidance, which walks the vocabulary and the expression together; about 0.1 ms a mask."""

    def __init__(self, tokenizer_json: str, *, vocabulary: int, stop_id: int) -> None:
        self._tokenizer = LLTokenizer(tokenizer_json, n_vocab=vocabulary, eos_token=stop_id)
        self._line_tokens = LineTokens(map(self._text_of, range(vocabulary)), stop_id)
        self._compiled = lru_cache(maxsize=_PATTERNS)(self._compile)

    def open(self, pattern: str, distinct: str = "") -> Guide:
        """See `Guides`. A pattern is compiled once."""
        guide = _RegexGuide(self._compiled(pattern).deep_copy(), self._tokenizer.vocab_size)
        return DistinctLines(guide, distinct, self._line_tokens, self._text_of) if distinct else guide

    def _text_of(self, token_id: int) -> bytes:
        return bytes(self._tokenizer.decode_bytes([token_id]))

    def _compile(self, pattern: str) -> LLMatcher:
        matcher = LLMatcher(self._tokenizer, LLMatcher.grammar_from_regex(pattern))
        if matcher.is_error():
            # The decoder's own words would repeat the pattern, which may hold a user's text.
            raise ValueError(f"guide: is no regular expression that the decoder takes ({len(pattern)} characters)")
        return matcher


class _RegexGuide:
    def __init__(self, matcher: LLMatcher, vocabulary: int) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary

    def allows(self, token_id: int) -> bool:
        """See `Guide`."""
        return bool(self._matcher.validate_tokens([token_id]) == 1)

    def mask(self) -> NDArray[np.bool_]:
        """See `Guide`."""
        bits = allocate_token_bitmask(1, self._vocabulary)
        fill_next_token_bitmask(self._matcher, bits, 0)
        return np.unpackbits(bits[0].view(np.uint8), count=self._vocabulary, bitorder="little").view(np.bool_)

    def advance(self, token_id: int) -> None:
        """See `Guide`."""
        self._matcher.consume_token(token_id)

    @property
    def is_finished(self) -> bool:
        """See `Guide`."""
        return bool(self._matcher.is_stopped())
