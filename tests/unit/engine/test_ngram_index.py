from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from iterqr_server.engine.ngram_index import MAX_MATCH, NgramIndex

TEXTS = st.lists(st.lists(st.integers(0, 3), max_size=12), max_size=8)


def every_count(index: NgramIndex) -> dict[tuple[int, ...], dict[int, int]]:
    return {context: dict(counts) for context, counts in index._next.items()}


def test_what_followed_a_context_is_counted() -> None:
    index = NgramIndex()
    index.add([1, 2, 3, 1, 2, 4, 1, 2, 3])
    assert index.after((1, 2)) == {3: 2, 4: 1}
    assert index.after((2,)) == {3: 2, 4: 1}
    assert index.after((4, 1, 2)) == {3: 1}
    assert index.after((2, 1)) is None
    assert index.after((3, 3)) is None


def test_contexts_are_no_longer_than_the_longest_match() -> None:
    index = NgramIndex()
    index.add(range(MAX_MATCH + 2))
    assert index.after(tuple(range(1, MAX_MATCH + 1))) == {MAX_MATCH + 1: 1}
    assert index.after(tuple(range(MAX_MATCH + 1))) is None


def test_tokens_before_the_first_are_context_only() -> None:
    index = NgramIndex()
    index.add([1, 2, 3, 4], first=2)
    assert every_count(index) == {(2,): {3: 1}, (1, 2): {3: 1}, (3,): {4: 1}, (2, 3): {4: 1}, (1, 2, 3): {4: 1}}


def test_the_last_token_can_be_added_alone() -> None:
    index, whole = NgramIndex(), NgramIndex()
    for end in range(2, 6):
        index.add_last([7, 8, 9, 7, 8][:end])
    whole.add([7, 8, 9, 7, 8])
    assert every_count(index) == every_count(whole)


def test_the_oldest_text_is_forgotten() -> None:
    index = NgramIndex(max_texts=2)
    for text in ([1, 2], [1, 3], [1, 3]):
        index.add(text)
    assert index.after((1,)) == {3: 2}


@given(TEXTS, st.integers(1, 4), st.integers(0, 3))
def test_forgetting_restores_exactly_what_the_last_texts_alone_give(
    texts: list[list[int]], kept: int, first: int
) -> None:
    index, alone = NgramIndex(max_texts=kept), NgramIndex()
    for text in texts:
        index.add(text, first)
    for text in texts[-kept:]:
        alone.add(text, first)
    assert every_count(index) == every_count(alone)
