"""The tokens a model may write: all of them, or those that searches in Latin script are made of, for a faster head.

The head is a quarter of a small model's weights, and such searches need two fifths of its tokens. Token ids, prompts
and the embedding stay whole; only the logits get fewer columns.
"""

from __future__ import annotations

import unicodedata
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders

OutputVocabulary = Literal["full", "latin"]
_SHORT = 3  # characters of a token that is kept whatever it is, so that names and codes take few tokens
_FIRST_SYMBOL_LEFT_OUT = 0x2190  # arrows, drawings, emoji; before it are Latin-1's signs and general punctuation


def latin_output_ids(tokenizer_json: str) -> NDArray[np.int64]:
    """Returns the ids of tokens that searches in Latin script are made of, ascending: [outputs].

    They are the control tokens, every single byte, words and parts of words in lower case, and whatever is short. A
    byte-level tokenizer can write every text with them, if not always with the tokens it would choose itself. Ranks do
    not choose: a vocabulary made for code merges `getElementById` before ` sushi`.
    """
    tokenizer = Tokenizer.from_str(tokenizer_json)
    decoder = decoders.ByteLevel()
    vocabulary = tokenizer.get_vocab(with_added_tokens=False).items()
    kept = [i for token, i in vocabulary if len(token) == 1 or _is_search_text(decoder.decode([token]))]
    return np.unique(np.array([*tokenizer.get_added_tokens_decoder(), *kept], np.int64))


def _is_search_text(text: str) -> bool:
    word = text[1:] if text[0] in " -'" else text
    return is_latin(text) and (len(text.strip()) <= _SHORT or (word.isalpha() and word == word.lower()))


def is_latin(text: str) -> bool:
    """Whether every letter is Latin and everything else a digit, punctuation, a common sign or white space."""
    return all(
        unicodedata.name(char, "").startswith("LATIN ") if char.isalpha() else ord(char) < _FIRST_SYMBOL_LEFT_OUT
        for char in text
    )
