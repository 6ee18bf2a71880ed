from __future__ import annotations

from collections.abc import Sequence

import pytest
from iterqr_server.engine.draft_tree import DraftTree, Guess
from iterqr_server.engine.drafter import Drafter, DraftSession
from iterqr_server.engine.ngram_index import NgramIndex
from support.step_plans import tree

OUTPUT, REQUEST, HISTORY, PREFIX = range(4)
NO_TREE = DraftTree()


def index_of(*texts: Sequence[int]) -> NgramIndex:
    index = NgramIndex()
    for text in texts:
        index.add(text)
    return index


def best(session: DraftSession, *path: int) -> tuple[int, int]:
    """The likeliest guess after `path`, and its source."""
    guess = max(session.guess(path), key=lambda guess: guess.probability)
    return guess.token_id, guess.source


def probability(session: DraftSession, token: int, *path: int) -> float:
    return next((guess.probability for guess in session.guess(path) if guess.token_id == token), 0.0)


def test_nothing_known_no_guess() -> None:
    session = Drafter().open([1, 2, 3], [], NgramIndex())
    assert session.guess(()) == []
    assert session.guess((9, 9)) == []


def test_guesses_come_from_the_end_of_the_prompt() -> None:
    session = Drafter().open([5, 6, 7, 8, 5, 6], [], NgramIndex())
    assert best(session) == (7, REQUEST)
    assert best(session, 7) == (8, REQUEST)
    assert best(session, 7, 8) == (5, REQUEST)


def test_the_first_draft_is_expected_at_the_beginning() -> None:
    session = Drafter().open([1, 2, 3], [[20, 21, 22], [30, 31]], NgramIndex())
    assert best(session) == (20, REQUEST)
    assert best(session, 20, 21) == (22, REQUEST)


def test_other_drafts_are_expected_where_their_words_begin() -> None:
    session = Drafter().open([1, 2, 3], [[], [30, 31, 32]], NgramIndex())
    assert session.guess(()) == []
    assert best(session, 30) == (31, REQUEST)
    assert best(session, 99, 30, 31) == (32, REQUEST)


def test_guesses_come_from_the_prompts_shared_beginning() -> None:
    session = Drafter().open([1, 2], [], index_of([40, 1, 2, 41, 42]))
    assert best(session) == (41, PREFIX)
    assert best(session, 41) == (42, PREFIX)


def test_guesses_come_from_the_output_so_far() -> None:
    session = Drafter().open([1, 2, 3], [], NgramIndex())
    session.advance([50, 51, 52, 50], NO_TREE, ())
    assert best(session) == (51, OUTPUT)
    assert best(session, 51) == (52, OUTPUT)


def test_guesses_come_from_outputs_of_other_requests() -> None:
    drafter = Drafter()
    drafter.remember([1, 2, 3], [60, 61, 62])
    session = drafter.open([9, 2, 3], [], NgramIndex())
    assert best(session) == (60, HISTORY)
    assert best(session, 60, 61) == (62, HISTORY)


def test_old_outputs_are_forgotten() -> None:
    drafter = Drafter()
    drafter.remember([1], [60])
    for number in range(256):
        drafter.remember([2], [1000 + number])
    assert drafter.open([1], [], NgramIndex()).guess(()) == []


def test_the_longest_match_counts_most() -> None:
    session = Drafter().open([1, 2, 3, 4, 9, 3, 5, 2, 3], [], index_of([1, 2, 3, 7], [0, 3, 8]))
    assert best(session) == (4, REQUEST)  # 2 3 came before 4; only 3 before 5
    guesses = {guess.token_id: guess.probability for guess in session.guess(())}
    assert guesses[4] > guesses[5]
    assert set(guesses) >= {4, 5, 7}


def test_a_token_is_guessed_once_and_probabilities_are_some() -> None:
    drafter = Drafter()
    drafter.remember([3], [4, 3, 5])
    session = drafter.open([1, 2, 3, 4, 2, 3], [[4, 5]], index_of([2, 3, 4], [3, 6]))
    guesses = session.guess(())
    assert len({guess.token_id for guess in guesses}) == len(guesses)
    assert all(0 < guess.probability < 1 for guess in guesses)


def test_a_source_that_is_wrong_is_trusted_less() -> None:
    drafter = Drafter()
    prefix = index_of([1, 41])
    before = probability(drafter.open([1], [], prefix), 41)
    for _ in range(50):
        drafter.open([1], [], prefix).advance([99], NO_TREE, ())
    after = probability(drafter.open([1], [], prefix), 41)
    assert after < before / 3


def test_a_source_that_is_right_is_trusted_more() -> None:
    drafter = Drafter()
    prefix = index_of([1, 41])
    before = probability(drafter.open([1], [], prefix), 41)
    for _ in range(50):
        drafter.open([1], [], prefix).advance([41], tree((41, -1)), (0,))
    after = probability(drafter.open([1], [], prefix), 41)
    assert after > before


def test_a_wrong_source_leaves_others_trusted() -> None:
    drafter = Drafter()
    prefix = index_of([1, 41])
    words = [[], [1, 42]]
    for _ in range(50):
        drafter.open([1], words, prefix).advance([41], NO_TREE, ())
    assert best(drafter.open([1], words, prefix)) == (41, PREFIX)
    assert probability(drafter.open([1], words, NgramIndex()), 42) < 0.2


def test_guesses_are_as_likely_as_such_guesses_came_true() -> None:
    drafter = Drafter()
    guess = Guess(1, 0.9, REQUEST, bin=18)
    for number in range(400):
        drafter.learn_tree(DraftTree((guess,), (-1,)), (0,) if number % 4 == 0 else ())
    assert drafter._calibration[18].share == pytest.approx(0.25, abs=0.02)


def test_rows_below_a_wrong_guess_teach_nothing() -> None:
    drafter = Drafter()
    rows = DraftTree((Guess(1, 0.9, REQUEST, bin=18), Guess(2, 0.5, REQUEST, bin=10)), (-1, 0))
    before = drafter._calibration[10].tries
    drafter.learn_tree(rows, ())
    assert drafter._calibration[10].tries == before
    drafter.learn_tree(rows, (0,))
    assert drafter._calibration[10].tries == before + 1


def test_proposed_and_accepted_rows_are_counted_by_source() -> None:
    drafter = Drafter()
    rows = DraftTree((Guess(1, 0.9, REQUEST), Guess(2, 0.5, HISTORY), Guess(3, 0.5, HISTORY)), (-1, 0, 0))
    drafter.learn_tree(rows, (0, 2))
    assert drafter.counters.proposed == {"request": 1, "history": 2}
    assert drafter.counters.accepted == {"request": 1, "history": 1}


def test_a_session_goes_on_from_what_came() -> None:
    session = Drafter().open([1, 2, 3], [[20, 21, 22, 23]], NgramIndex())
    session.advance([20, 21], tree((20, -1)), (0,))
    assert best(session) == (22, REQUEST)
    session.advance([77], tree((22, -1)), ())
    assert session.guess(()) == []
    session.advance([20], NO_TREE, ())
    assert best(session)[0] == 21


def test_a_prompt_without_words_of_its_own_is_no_error() -> None:
    session = Drafter().open([], [[20, 21]], index_of([1, 2]))
    assert session.guess(()) == []
    session.advance([20], NO_TREE, ())
    assert best(session) == (21, REQUEST)
