"""What becomes of the engine's answers."""

from __future__ import annotations

import math

import pytest
from iterqr_server.rewrite.scoring import share_of_first


@pytest.mark.parametrize(("p", "q"), [(0.5, 0.5), (0.9, 0.1), (0.002, 0.006), (1e-30, 1e-31)])
def test_the_share_is_that_of_the_two_answers_alone(p: float, q: float) -> None:
    assert share_of_first(math.log(p), math.log(q)) == pytest.approx(p / (p + q))


def test_an_answer_that_cannot_be_has_no_share() -> None:
    assert share_of_first(-1.0, -math.inf) == 1.0
    assert share_of_first(-math.inf, -1.0) == 0.0


def test_shares_of_far_apart_answers_do_not_overflow() -> None:
    assert share_of_first(-1000.0, 0.0) == pytest.approx(0.0)
    assert share_of_first(0.0, -1000.0) == 1.0
