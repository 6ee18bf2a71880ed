"""The tokens a model may write: all of them, or those of one script, for a smaller and faster head.

The head is a quarter of a small model's weights, and a locale needs a fifth of its tokens. Token ids, prompts and the
embedding stay whole; only the logits get fewer columns.
"""

from __future__ import annotations

import unicodedata
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders

OutputVocabulary = Literal["full", "latin"]
MAX_LATIN_TOKENS = 32_000  # the ones merged first, which are the ones used most
_FIRST_SYMBOL_LEFT_OUT = 0x2190  # arrows, drawings, emoji; before it are Latin-1's signs and general punctuation


def latin_output_ids(tokenizer_json: str, *, most: int = MAX_LATIN_TOKENS) -> NDArray[np.int64]:
    """Returns the ids of tokens that Latin text is made of, ascending: [outputs].

    They are the control tokens, every single byte, and the first `most` of the other tokens whose letters are all Latin
    and whose other characters are digits, punctuation or white space. A byte-level tokenizer can write every text with
    them, if not always with the tokens it would choose itself.
    """
    tokenizer = Tokenizer.from_str(tokenizer_json)
    decoder = decoders.ByteLevel()
    by_id = sorted((token_id, token) for token, token_id in tokenizer.get_vocab(with_added_tokens=False).items())
    added = set(tokenizer.get_added_tokens_decoder())
    single_bytes = [token_id for token_id, token in by_id if len(token) == 1]
    latin = [i for i, token in by_id if len(token) > 1 and i not in added and is_latin(decoder.decode([token]))]
    return np.unique(np.array([*added, *single_bytes, *latin[:most]], np.int64))


def is_latin(text: str) -> bool:
    """Whether every letter is Latin and everything else a digit, punctuation, a common sign or white space."""
    return all(
        unicodedata.name(char, "").startswith("LATIN ") if char.isalpha() else ord(char) < _FIRST_SYMBOL_LEFT_OUT
        for char in text
    )
