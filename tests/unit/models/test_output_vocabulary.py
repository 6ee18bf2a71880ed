from __future__ import annotations

import pytest
from iterqr_server.models.gguf_tokenizer import tokenizer_from_gguf
from iterqr_server.models.output_vocabulary import is_latin, latin_output_ids
from tokenizers import Tokenizer, pre_tokenizers

_BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
_MERGES = ["h e", "Ð ¸", "l l", "he ll", "Ã ©", "Ġ he"]  # in that order; Ð¸ is Cyrillic, Ã© is é


def _tokenizer_json() -> str:
    tokens = [*_BYTES, *(merge.replace(" ", "") for merge in _MERGES), "<|im_end|>"]
    return tokenizer_from_gguf(tokens, [1] * (len(tokens) - 1) + [3], _MERGES)


def _tokens(most: int) -> list[str]:
    tokenizer = Tokenizer.from_str(_tokenizer_json())
    return [str(tokenizer.id_to_token(i)) for i in latin_output_ids(_tokenizer_json(), most=most)]


def test_bytes_latin_merges_and_control_tokens_are_kept_in_order_of_id() -> None:
    assert _tokens(100) == [*_BYTES, "he", "ll", "hell", "Ã©", "Ġhe", "<|im_end|>"]


def test_the_first_merges_are_kept_when_there_are_too_many() -> None:
    assert _tokens(2) == [*_BYTES, "he", "ll", "<|im_end|>"]


@pytest.mark.parametrize("text", ["crème brûlée", " Łódź", "50% off!\n", "Straße—“x” €5", "\t"])
def test_latin_text(text: str) -> None:
    assert is_latin(text)


@pytest.mark.parametrize("text", ["суп", "寿司", "ramen 🍜", "→", "\ufffd", "αβ"])
def test_other_text(text: str) -> None:
    assert not is_latin(text)
