from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from iterqr_server.engine.draft_tree import DraftTree
from iterqr_server.engine.sampler import Verdict, greedy, log_probabilities, verify
from numpy.typing import NDArray
from support.step_plans import tree

VOCABULARY = 10
STOP = frozenset({9})
NO_DRAFTS = DraftTree()


class Pattern:
    """A guide that allows exactly one text, then the end."""

    def __init__(self, *token_ids: int) -> None:
        self._left = list(token_ids)

    def allows(self, token_id: int) -> bool:
        return token_id == self._left[0]

    def mask(self) -> NDArray[np.bool_]:
        mask = np.zeros(VOCABULARY, np.bool_)
        mask[self._left[0]] = True
        return mask

    def advance(self, token_id: int) -> None:
        assert self._left.pop(0) == token_id

    @property
    def is_finished(self) -> bool:
        return not self._left


def logits_of(*token_ids: int) -> NDArray[np.float32]:
    """One row for each token, which is the likeliest in it."""
    return np.eye(VOCABULARY, dtype=np.float32)[list(token_ids)] * 20


def tokens(verdict: Verdict) -> list[int]:
    return [sample.token_id for sample in verdict.samples]


def test_the_likeliest_token_and_its_log_probability() -> None:
    sample = greedy(np.log(np.array([0.2, 0.5, 0.3], np.float32)) + 7, None)
    assert sample.token_id == 1
    assert sample.logprob == pytest.approx(np.log(0.5), abs=1e-6)


def test_of_equals_the_lowest_id_wins() -> None:
    assert greedy(np.array([1, 3, 3], np.float32), None).token_id == 1


def test_large_logits_do_not_overflow() -> None:
    assert greedy(np.array([1e4, -1e4], np.float32), None).logprob == pytest.approx(0)


def test_a_log_probability_near_zero_keeps_its_digits() -> None:
    assert greedy(np.array([40, 0], np.float32), None).logprob == pytest.approx(-np.exp(-40), rel=1e-3)


def test_log_probabilities_of_some_tokens() -> None:
    row = np.log(np.array([0.2, 0.5, 0.3], np.float32)) - 3
    assert log_probabilities(row, (2, 0, 2)) == pytest.approx(np.log([0.3, 0.2, 0.3]), abs=1e-6)
    assert log_probabilities(row, (1,)) == (greedy(row, None).logprob,)


def test_without_drafts_one_token_comes() -> None:
    verdict = verify(logits_of(3), NO_DRAFTS, None, STOP, at_most=10)
    assert (tokens(verdict), verdict.accepted, verdict.is_end) == ([3], (), False)


def test_drafts_that_came_true_bring_the_token_after_them() -> None:
    verdict = verify(logits_of(3, 4, 5), tree((3, -1), (4, 0)), None, STOP, at_most=10)
    assert (tokens(verdict), verdict.accepted, verdict.is_end) == ([3, 4, 5], (0, 1), False)


@pytest.mark.parametrize(
    ("likeliest", "expected", "accepted"),
    [
        # the rows: known, 1, 2, 1>3, 2>3, 2>3>4
        ((1, 3, 0, 5, 0, 0), [1, 3, 5], (0, 2)),
        ((2, 0, 3, 0, 4, 6), [2, 3, 4, 6], (1, 3, 4)),
        ((2, 3, 7, 5, 5, 5), [2, 7], (1,)),  # a cousin foretold another token than 7
        ((3, 3, 3, 3, 3, 3), [3], ()),  # nothing foretold 3 here, only later
    ],
)
def test_the_walk_takes_the_branch_that_came_true(
    likeliest: Sequence[int], expected: list[int], accepted: tuple[int, ...]
) -> None:
    branches = tree((1, -1), (2, -1), (3, 0), (3, 1), (4, 3))
    verdict = verify(logits_of(*likeliest), branches, None, STOP, at_most=10)
    assert (tokens(verdict), verdict.accepted) == (expected, accepted)


def test_a_stop_token_ends_the_walk_and_is_left_out() -> None:
    verdict = verify(logits_of(3, 9, 5), tree((3, -1), (9, 0)), None, STOP, at_most=10)
    assert (tokens(verdict), verdict.accepted, verdict.is_end) == ([3], (0,), True)
    assert verify(logits_of(9), NO_DRAFTS, None, STOP, at_most=10) == Verdict((), (), is_end=True)


@pytest.mark.parametrize("at_most", [1, 2, 3])
def test_no_more_tokens_come_than_wanted(at_most: int) -> None:
    verdict = verify(logits_of(3, 4, 5, 6), tree((3, -1), (4, 0), (5, 1)), None, STOP, at_most)
    assert tokens(verdict) == [3, 4, 5][:at_most]
    assert verdict.accepted == (0, 1, 2)[: at_most - 1]
    assert not verdict.is_end


def test_a_guide_chooses_at_every_token_and_its_end_ends_the_walk() -> None:
    likes_sevens = np.tile(logits_of(7), (4, 1))
    likes_sevens[:, [3, 4, 5]] = 10
    guide = Pattern(3, 4, 5)
    verdict = verify(likes_sevens, tree((3, -1), (4, 0), (5, 1)), guide, STOP, at_most=10)
    assert (tokens(verdict), verdict.accepted, verdict.is_end) == ([3, 4, 5], (0, 1), True)
    assert [sample.logprob for sample in verdict.samples] == pytest.approx([-10.00014] * 3, abs=1e-4)


def test_a_draft_that_the_guide_forbids_is_not_taken() -> None:
    guide = Pattern(3, 4)
    verdict = verify(logits_of(7, 7, 7), tree((7, -1), (7, 0)), guide, STOP, at_most=10)
    assert (tokens(verdict), verdict.accepted, verdict.is_end) == ([3], (), False)
    assert guide.allows(4)


FEW = np.array([2, 5, 9])  # the tokens that a smaller model writes


def test_columns_of_a_smaller_vocabulary_stand_for_its_tokens() -> None:
    row = np.log(np.array([0.2, 0.5, 0.3], np.float32))
    sample = greedy(row, None, FEW)
    assert sample.token_id == 5
    assert sample.logprob == pytest.approx(np.log(0.5), abs=1e-6)
    assert greedy(row, Pattern(2), FEW).token_id == 2
    assert log_probabilities(row, (9, 5, 3, 10), FEW) == pytest.approx((np.log(0.3), np.log(0.5), -np.inf, -np.inf))


def test_a_smaller_vocabulary_is_walked_by_tokens() -> None:
    logits = np.eye(3, dtype=np.float32)[[1, 0, 2]] * 20
    verdict = verify(logits, tree((5, -1), (2, 0)), None, STOP, at_most=10, output_ids=FEW)
    assert (tokens(verdict), verdict.accepted, verdict.is_end) == ([5, 2], (0, 1), True)


class Spelling(Pattern):
    """Its mask has the usual spelling only, token 3; it may be spelled with 2, too."""

    def __init__(self, *others: int) -> None:
        super().__init__(3)
        self._others = others

    def allows(self, token_id: int) -> bool:
        return token_id in self._others


def test_forced_text_is_spelled_with_the_tokens_there_are() -> None:
    assert greedy(np.array([1, 3, 2], np.float32), Spelling(2, 9), FEW).token_id == 9


def test_a_guide_that_leaves_no_token_is_an_error() -> None:
    with pytest.raises(ValueError, match="allows none of the model's tokens"):
        greedy(np.array([1, 3, 2], np.float32), Spelling(), FEW)
