from __future__ import annotations

import pytest
from iterqr_benchmarks.engine_comparison.exactness import Agreement, Difference, compare
from iterqr_benchmarks.engine_comparison.worker_process import Answer


def answer(*tokens: tuple[int, float]) -> Answer:
    return Answer("a", "", len(tokens), 0.0, 0.0, [token for token, _ in tokens], [logprob for _, logprob in tokens])


def test_answers_with_the_same_tokens_do_not_differ() -> None:
    assert compare(["q"], [answer((1, -0.1))], [answer((1, -0.2))]) == ()


def test_a_difference_is_where_the_answers_part() -> None:
    one, other = answer((1, -0.1), (2, -0.70), (3, 0.0)), answer((1, -0.1), (4, -0.69), (5, 0.0))
    (difference,) = compare(["q"], [one], [other])
    assert difference == Difference("q", 1, (2, -0.70), (4, -0.69))
    assert difference.is_near_tie


def test_an_answer_that_ends_early_is_no_near_tie() -> None:
    (difference,) = compare(["q"], [answer((1, -0.1), (2, -0.1))], [answer((1, -0.1))])
    assert (difference.expected, difference.got, difference.is_near_tie) == ((2, -0.1), None, False)


def test_tokens_of_unlike_probability_are_no_near_tie() -> None:
    assert not Difference("q", 0, (1, -0.1), (2, -2.4)).is_near_tie


def test_agreement_is_the_share_of_queries_without_a_difference() -> None:
    assert Agreement("drafts", 4, (Difference("q", 0, None, (2, -2.4)),)).share == pytest.approx(0.75)
