"""Rebuilds Qwen2's tokenizer from the vocabulary inside a GGUF file."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

# Qwen2's published pre-tokenizer: contractions, words, single digits, punctuation, line breaks, white space.
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# token types of GGUF
_CONTROL, _USER_DEFINED, _UNUSED = 3, 4, 5


def tokenizer_from_gguf(tokens: Sequence[str], kinds: Sequence[int], merges: Sequence[str]) -> str:
    """Returns a tokenizer.json equal in effect to the original's.

    Control and user-defined tokens become added special tokens, padding entries are left out; the ids of the others
    are their places in `tokens`.
    """
    added = {i for i, kind in enumerate(kinds) if kind in (_CONTROL, _USER_DEFINED)}
    vocabulary = {token: i for i, token in enumerate(tokens) if i not in added and kinds[i] != _UNUSED}
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(tokens[i], special=True, normalized=False) for i in sorted(added)])
    for i in added:
        if tokenizer.token_to_id(tokens[i]) != i:
            raise ValueError(f"added token {tokens[i]!r} must have id {i}")
    return tokenizer.to_str()
