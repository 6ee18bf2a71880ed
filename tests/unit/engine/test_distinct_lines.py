"""Lines that may not be written twice or extended, over a vocabulary of bytes and tokens that end lines inside."""

from __future__ import annotations

import numpy as np
import pytest
from iterqr_proto.rewrite_format import grammar, parse
from iterqr_server.engine.distinct_lines import DistinctLines, LineTokens
from iterqr_server.engine.guide import Guide
from iterqr_server.engine.regex_guides import RegexGuides
from iterqr_server.engine.sampler import greedy
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

END = "<|im_end|>"
NEWLINE = "Ċ"  # as a byte-level vocabulary spells it
MERGED = (f".{NEWLINE}", f"p{NEWLINE}")  # one that ends a line after punctuation, one after a letter


def tokenizer_with_merged_line_ends() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {text: i for i, text in enumerate([*alphabet, *MERGED])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[(text[0], text[1]) for text in MERGED]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(END, special=True)])
    return tokenizer


TOKENIZER = tokenizer_with_merged_line_ends()
IDS = TOKENIZER.get_vocab()
STOP = IDS[END]
VOCABULARY = TOKENIZER.get_vocab_size() + 7
GUIDES = RegexGuides(TOKENIZER.to_str(), vocabulary=VOCABULARY, stop_id=STOP)
BEGUN = "fix: soup\nintent: dish\nmeaning: a soup\nrw: pea soup\nrw: "
LINE_ENDS = {"\n": IDS[NEWLINE], ".\n": IDS[MERGED[0]], "p\n": IDS[MERGED[1]], END: STOP}


def after(text: str, pattern: str = "", distinct: str = "rw: ") -> Guide:
    guide = GUIDES.open(pattern or grammar(4), distinct)
    for character in text.encode():
        guide.advance(IDS[TOKENIZER.encode(chr(character)).tokens[0]])
    return guide


def line_ends(guide: Guide) -> set[str]:
    mask = guide.mask()
    found = {text for text, token_id in LINE_ENDS.items() if mask[token_id]}
    assert found == {text for text, token_id in LINE_ENDS.items() if guide.allows(token_id)}
    return found


@pytest.mark.parametrize("again", ["pea soup", "Pea  SOUP", "pea-soup!"])
def test_a_line_with_the_words_of_another_must_go_on(again: str) -> None:
    guide = after(BEGUN + again)
    assert line_ends(guide) == {"p\n"}  # another word: "soupp"
    assert guide.mask()[IDS["s"]]


def test_a_token_that_would_complete_the_words_of_another_is_no_end() -> None:
    assert line_ends(after(BEGUN + "pea sou")) == {"\n", ".\n", END}


def test_other_lines_end_where_they_like() -> None:
    every = set(LINE_ENDS)
    assert line_ends(after(BEGUN + "pea soup bowl")) == every
    assert line_ends(after(BEGUN + "pea")) == every
    assert line_ends(after(BEGUN + "pea soup", distinct="")) == every


def test_only_lines_of_the_kind_are_kept_distinct() -> None:
    assert line_ends(after("fix: pea soup\nintent: pea soup")) == {"\n", ".\n", "p\n"}
    assert line_ends(after("fix: a\nintent: b\nmeaning: pea soup\nrw: pea soup")) == set(LINE_ENDS)


def test_where_there_is_no_other_way_a_line_is_repeated() -> None:
    guide = after("rw: a\nrw: a", pattern="rw: a\nrw: a\n?")
    assert line_ends(guide) == {"\n", END}


@pytest.mark.parametrize("seed", range(5))
def test_whatever_the_model_wants_its_rewrites_differ(seed: int) -> None:
    random = np.random.default_rng(seed)
    guide = GUIDES.open(grammar(6, min_rewrites=6), "rw: ")
    wish = np.full(VOCABULARY, -100, np.float32)  # but for the grammar's own words
    wish[[IDS[each] for each in (NEWLINE, "a", "b", "Ġ", *MERGED)]] = [3, 3, 0, 0, 0, 0]  # "a", again and again
    text = b""
    while len(text) < 5_000:
        wished = (wish + random.standard_normal(VOCABULARY) / 4).astype(np.float32)
        sample = greedy(wished, guide)
        if sample.token_id == STOP:
            break
        guide.advance(sample.token_id)
        text += TOKENIZER.decode([sample.token_id]).encode()
        if guide.is_finished:
            break
    rewrites = parse(text.decode()).rewrites
    assert len(rewrites) == 6
    assert len({each.casefold() for each in rewrites}) == 6


WORDS = (b"rw: ", b"pea", b" soup", b" so", b" soy", b" with", b" Soup", b" ", b"\n", b"s", b"")


class AnyOf:
    """A guide that always allows the same tokens of `WORDS`."""

    is_finished = False

    def __init__(self, *allowed: bytes) -> None:
        self._mask = np.array([word in allowed for word in WORDS])

    def allows(self, token_id: int) -> bool:
        return bool(self._mask[token_id])

    def mask(self) -> NDArray[np.bool_]:
        return self._mask

    def advance(self, token_id: int) -> None: ...


def allowed_after(*words: bytes, within: tuple[bytes, ...] = WORDS) -> set[bytes]:
    tokens = LineTokens(WORDS, stop_id=WORDS.index(b""))
    guide = DistinctLines(AnyOf(*within), "rw: ", tokens, WORDS.__getitem__)
    for word in words:
        guide.advance(WORDS.index(word))
    allowed = {word for word, is_allowed in zip(WORDS, guide.mask(), strict=True) if is_allowed}
    assert allowed == {word for number, word in enumerate(WORDS) if guide.allows(number)}
    return allowed


PEA_SOUP = (b"rw: ", b"pea", b" soup", b"\n", b"rw: ")


def test_a_line_does_not_extend_one_before_it() -> None:
    assert allowed_after(*PEA_SOUP, b"pea") == set(WORDS) - {b" soup", b" so"}
    assert allowed_after(*PEA_SOUP) == set(WORDS)
    assert allowed_after(*PEA_SOUP, b"pea", b" with") == set(WORDS)
    assert allowed_after(*PEA_SOUP, b"pea", b" soy", b"\n", b"rw: ", b"pea") == set(WORDS) - {b" soup", b" so", b" soy"}


def test_a_line_of_one_word_may_be_extended() -> None:
    assert allowed_after(b"rw: ", b"pea", b"\n", b"rw: ", b"pea") == set(WORDS) - {b"\n", b""}  # not repeated


def test_other_lines_may_be_extended() -> None:
    assert allowed_after(b"pea", b" soup", b"\n", b"rw: ", b"pea") == set(WORDS)


def test_where_there_is_no_other_way_a_line_is_extended() -> None:
    assert allowed_after(*PEA_SOUP, b"pea", within=(b" soup", b" so")) == {b" soup", b" so"}
