"""How most people spell a query."""

from __future__ import annotations

from dataclasses import replace

import pytest
from iterqr_training.labels.chains import Chains, correct_fixes
from iterqr_training.labels.spellings import Spellings, is_near
from support.labelling import make_chain

SEARCHES = {
    "wings": 9, "winggs": 3, "wigns": 4, "tacos": 9, "tuna": 9, "gluten free mexican": 6, "gluten free american": 1,
    "american": 5, "iphone 12": 9, "iphone 11": 1, "kung pao": 12, "kungpao": 2, "rare kungpao": 9, "grill": 1,
    "krill": 2, "grills": 2,
}  # fmt: skip


def usual(text: str, *, ratio: float = 3.0, reformulated: tuple[tuple[str, str], ...] = ()) -> str | None:
    return Spellings(SEARCHES, SEARCHES.keys(), reformulated, ratio).usual(text)


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("wings", "winggs", True),
        ("wings", "wigns", True),  # neighbours swapped are one edit
        ("wings", "wings", False),
        ("pie", "pies", False),  # too short to say
        ("wings", "wiggs!", False),
        ("chow mein", "chiow mien", True),
        ("dishes with salmon", "dishes with saffron", False),  # never more than two edits
    ],
)
def test_near_is_a_slip_away(one: str, other: str, near: bool) -> None:
    assert is_near(one, other) is near
    assert is_near(other, one) is near


def test_the_usual_spelling_is_near_and_much_more_frequent() -> None:
    assert usual("winggs") == "wings"
    assert usual("wigns") is None, "nine are not three times four"
    assert usual("wigns", ratio=2.0) == "wings"
    assert usual("wings") is None
    assert usual("nothing like it") is None


def test_a_word_that_people_use_is_no_misspelling_of_another() -> None:
    assert usual("gluten free american") is None
    assert usual("gluten free american", reformulated=(("gluten free american", "gluten free mexican"),))


def test_words_split_otherwise_are_the_same_only_if_users_say_so() -> None:
    assert usual("kungpao") is None
    assert usual("kungpao", reformulated=(("kungpao", "kung pao"),)) == "kung pao"


def test_another_number_is_something_else() -> None:
    assert usual("iphone 11", reformulated=(("iphone 11", "iphone 12"),)) is None


def test_equally_frequent_ones_go_by_distance_and_text() -> None:
    assert usual("grill", ratio=2.0) == "grills"


def test_only_what_may_be_shown_to_others_is_anybodys_usual_spelling() -> None:
    assert Spellings(SEARCHES, [], (), 3.0).usual("winggs") is None


def test_fixes_become_usual_spellings_and_only_changes_are_counted() -> None:
    chains = [make_chain("winggs"), replace(make_chain("tacoos"), fix="tacos"), make_chain("tuna")]
    spelled = {"winggs": "wings", "tacoos": "tacos"}
    corrected = correct_fixes(Chains({each.key: each for each in chains}, {}), spelled.get)
    assert [each.fix for each in corrected.found.values()] == ["wings", "tacos", "tuna fixed"]
    assert [each.meaning for each in corrected.found.values()] == [each.meaning for each in chains]
    assert corrected.corrected == 1
