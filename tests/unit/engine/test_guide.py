"""Outputs held to the grammar, and the choice of tokens under a guide."""

import json

import numpy as np
import pytest
from iterqr_proto.rewrite_format import grammar, parse
from iterqr_proto.rewrite_format.grammar import MAX_UNLIKE_CHARS
from iterqr_server.engine.guide import Guide
from iterqr_server.engine.regex_guides import RegexGuides
from iterqr_server.engine.sampler import greedy
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

END = "<|im_end|>"


def byte_tokenizer() -> Tokenizer:
    """One token a byte, and the end of the turn."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(END, special=True)])
    return tokenizer


TOKENIZER = byte_tokenizer()
STOP = TOKENIZER.get_vocab()[END]
VOCABULARY = TOKENIZER.get_vocab_size() + 7  # models have rows that no token uses
GUIDES = RegexGuides(TOKENIZER.to_str(), vocabulary=VOCABULARY, stop_id=STOP)


def after(text: str, pattern: str) -> Guide:
    guide = GUIDES.open(pattern)
    for token_id in TOKENIZER.encode(text).ids:
        assert guide.allows(token_id), text
        guide.advance(token_id)
    return guide


def next_characters(guide: Guide) -> set[str]:
    return {END if i == STOP else TOKENIZER.decode([i]) for i in np.flatnonzero(guide.mask()).tolist()}


def test_only_what_the_expression_allows_may_come_next() -> None:
    assert next_characters(after("", "ab?|c")) == {"a", "c"}
    assert next_characters(after("a", "ab?|c")) == {"b", END}
    assert next_characters(after("ab", "ab?|c")) == {END}


def test_mask_and_single_questions_agree() -> None:
    guide = after("fix: soup", grammar(3))
    mask = guide.mask()
    assert mask.shape == (VOCABULARY,)
    assert [i for i in range(VOCABULARY) if guide.allows(i)] == np.flatnonzero(mask).tolist()


def test_a_turn_cannot_end_before_a_rewrite() -> None:
    assert END not in next_characters(after("fix: soup\nintent: dish\nmeaning: a soup", grammar(3)))
    assert END in next_characters(after("fix: soup\nintent: dish\nmeaning: a soup\nrw: broth", grammar(3)))


def test_the_last_rewrite_ends_the_output() -> None:
    guide = after("fix: a\nintent: b\nmeaning: c\nrw: d\nrw: e\n", grammar(2))
    assert next_characters(guide) == {END}


@pytest.mark.parametrize("seed", range(5))
def test_whatever_the_model_wants_the_output_parses(seed: int) -> None:
    random = np.random.default_rng(seed)
    guide = GUIDES.open(grammar(2))
    tokens: list[int] = []
    while len(tokens) < 2000:
        sample = greedy(random.standard_normal(VOCABULARY).astype(np.float32), guide)
        if sample.token_id == STOP:
            break
        guide.advance(sample.token_id)
        tokens.append(sample.token_id)
    output = parse(TOKENIZER.decode(tokens))
    assert output.has_chain_of_thought
    assert 1 <= len(output.rewrites) <= 2


def test_guided_choice_is_the_likeliest_allowed_token_with_the_models_own_probability() -> None:
    logits = np.zeros(VOCABULARY, np.float32)
    a, b = TOKENIZER.encode("ab").ids
    logits[a], logits[b] = 3, 2
    free, guided = greedy(logits, None), greedy(logits, GUIDES.open("b|c"))
    assert (free.token_id, guided.token_id) == (a, b)
    assert free.logprob - guided.logprob == pytest.approx(1)
    assert np.exp(free.logprob) == pytest.approx(np.exp(3) / np.exp(logits).sum(), rel=1e-5)


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="guide"):
        GUIDES.open("(")


def test_special_tokens_are_not_text() -> None:
    assert json.loads(TOKENIZER.to_str())["added_tokens"]
    assert END not in next_characters(after("", ".*x"))


@pytest.mark.parametrize("character", ["a", "é", "辣", "-", "]", "\\", "^"])
def test_the_longest_query_that_rewrites_are_kept_unlike_compiles(character: str) -> None:
    guide = after("fix: a\nintent: b\nmeaning: c\nrw: ", grammar(3, character * MAX_UNLIKE_CHARS))
    assert "z" in next_characters(guide)
    again = after("fix: a\nintent: b\nmeaning: c\nrw: d", grammar(3, "d"))
    assert END not in next_characters(again)


def test_an_error_does_not_repeat_the_pattern() -> None:
    with pytest.raises(ValueError, match=r"^guide: is no regular expression that the decoder takes \(7 characters\)$"):
        GUIDES.open("(secret")
