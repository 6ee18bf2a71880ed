"""The baselines on pasts in which it is plain what they must find."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from iterqr_training.evaluate.embedder import RememberingEmbedder, Vectors, distances
from iterqr_training.evaluate.keyword_rewriter import KeywordRewriter
from iterqr_training.evaluate.past_queries import PastQueries, PastQuery
from iterqr_training.evaluate.rewriter import NoRewriter
from iterqr_training.evaluate.semantic_rewriter import SemanticRewriter

PAST = PastQueries(
    [
        PastQuery("north", "pad thai", 5, {"a": 3, "b": 1}),
        PastQuery("north", "thai noodles", 3, {"a": 2}),
        PastQuery("north", "veggie burger", 4, {"v1": 3}),
        PastQuery("north", "vegan burger", 2, {"v1": 2}),
        PastQuery("north", "veggie wrap", 2, {"v2": 2}),
        PastQuery("north", "vegan wrap", 2, {"v2": 2}),
        PastQuery("north", "vegan pizza", 2, {"v3": 2}),
        PastQuery("north", "never clicked", 9),
        PastQuery("south", "pad see ew", 5, {"z": 5}),
    ]
)


def texts(query: str, region: str = "north", vocabulary: Sequence[str] = ()) -> list[str]:
    return [each.text for each in KeywordRewriter(PAST, vocabulary).rewrite(query, region).rewrites]


def test_a_misspelt_query_is_corrected_and_what_was_clicked_alike_follows() -> None:
    assert texts("pad tai") == ["pad thai", "thai noodles"]
    assert texts("PadThai") == ["pad thai", "thai noodles"]


def test_queries_with_the_same_clicks_are_weighed_by_cosine() -> None:
    found = KeywordRewriter(PAST).rewrite("thai noodles", "north").rewrites
    assert [each.text for each in found] == ["pad thai"]
    assert found[0].confidence == pytest.approx(2 * 3 / (2 * 10**0.5))


def test_a_word_is_replaced_by_one_that_took_its_place_in_two_pairs() -> None:
    # burger and wrap both show vegan for veggie; nobody searched for a veggie pizza.
    assert texts("veggie pizza")[0] == "vegan pizza"


def test_words_of_titles_are_known() -> None:
    assert "green curry" not in texts("gren curry")
    assert "green curry" in texts("gren curry", vocabulary=["green curry", "green curry"])


def test_the_query_itself_other_regions_and_nonsense_give_nothing() -> None:
    assert "pad thai" not in texts("Pad Thai!")
    assert texts("pad see ew") == []
    assert texts("qqqqqqqq") == []
    assert texts("pad thai", region="nowhere") == []


def test_no_rewriter_gives_none() -> None:
    assert NoRewriter().rewrite("pad tai", "north").rewrites == ()


def test_another_past_is_another_identity() -> None:
    other = PastQueries([PastQuery("north", "pad thai", 5, {"a": 3})])
    assert KeywordRewriter(PAST).identity != KeywordRewriter(other).identity
    assert KeywordRewriter(PAST).identity != KeywordRewriter(PAST, ["soup"]).identity


class LetterEmbedder:
    """Meaning is which letters there are; counts how many texts it is asked for."""

    identity = "letters"

    def __init__(self) -> None:
        self.embedded = 0

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.embedded += len(texts)
        vectors = np.array([[letter in text for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts], np.float32)
        normed: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return normed


def test_the_semantic_baseline_gives_the_nearest_queries_that_were_clicked() -> None:
    semantic = SemanticRewriter(PAST, LetterEmbedder(), least_cosine=0.6)
    found = semantic.rewrite("thai pad", "north").rewrites
    assert found[0].text == "pad thai"  # other words in another order: not the same query
    assert found[0].confidence == pytest.approx(1.0)
    assert [each.confidence for each in found] == sorted((each.confidence for each in found), reverse=True)
    assert "never clicked" not in [each.text for each in semantic.rewrite("clicked never", "north").rewrites]
    assert "pad thai" not in [each.text for each in semantic.rewrite("PAD THAI", "north").rewrites]
    assert semantic.rewrite("pad thai", "nowhere").rewrites == ()


def test_distances_and_memory() -> None:
    letters = LetterEmbedder()
    embedder = RememberingEmbedder(letters)
    pairs = [("ab", "ab"), ("ab", "cd"), ("ab", "a")]
    found = distances(embedder, pairs)
    assert [found[pair] for pair in pairs] == pytest.approx([0.0, 1.0, 1 - 2**-0.5], abs=1e-6)
    distances(embedder, pairs)
    assert letters.embedded == 3
    assert distances(embedder, []) == {}
