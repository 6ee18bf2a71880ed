from __future__ import annotations

import pytest
from iterqr_server.models.gguf_tokenizer import tokenizer_from_gguf
from iterqr_server.models.output_vocabulary import is_latin, latin_output_ids
from tokenizers import Tokenizer, pre_tokenizers

_BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
_WORDS = ["soup", "Ġsoup", "-free", "Ã©", "ĠcrÃ¨me", "BBQ", "(),", "Ġ2"]  # Ã© is é in the spelling of bytes
_OTHERS = ["Soup", "getItem", "_soup", "();//", "Ð¸", "å¯"]  # и, and the beginning of a character


def _tokenizer_json() -> str:
    tokens = [*_BYTES, *_OTHERS, *_WORDS, "<|im_end|>"]
    return tokenizer_from_gguf(tokens, [1] * (len(tokens) - 1) + [3], [])


def test_bytes_words_in_lower_case_short_tokens_and_control_tokens_are_kept_in_order_of_id() -> None:
    tokenizer = Tokenizer.from_str(_tokenizer_json())
    kept = [tokenizer.id_to_token(i) for i in latin_output_ids(_tokenizer_json())]
    assert kept == [*_BYTES, *_WORDS, "<|im_end|>"]


@pytest.mark.parametrize("text", ["crème brûlée", " Łódź", "50% off!\n", "Straße—“x” €5", "\t"])
def test_latin_text(text: str) -> None:
    assert is_latin(text)


@pytest.mark.parametrize("text", ["суп", "寿司", "ramen 🍜", "→", "\ufffd", "αβ"])
def test_other_text(text: str) -> None:
    assert not is_latin(text)
