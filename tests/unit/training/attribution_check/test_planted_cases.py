"""The planted cases are what they say: on an ideal index every known outcome follows from the documents."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest
from iterqr_training.signals.attribution_check.cases import WINDOW_SIZE, planted_cases
from iterqr_training.signals.attribution_check.channels import ChannelWindow, Observed, credit_of
from iterqr_training.signals.attribution_check.comparison import planting_problems
from iterqr_training.signals.attribution_check.planting import Case, Credit, Share
from support.ideal_index import observe

CASES = planted_cases("run")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_known_outcomes_follow_from_the_documents(case: Case) -> None:
    assert planting_problems(case, [observe(search, CASES) for search in case.searches]) == ()


def test_another_retrieval_is_noticed() -> None:
    exclusive = CASES[0]
    (search,) = exclusive.searches
    seen = observe(search, CASES)
    original = ChannelWindow("", (*seen.windows[0].object_ids, exclusive.events[0].object_id))
    also_original = Observed(seen.query_id, (original, *seen.windows[1:]), seen.shown)
    (problem,) = planting_problems(exclusive, [also_original])
    assert "level 2" in problem
    assert "level 1" in problem
    (problem,) = planting_problems(exclusive, [Observed(seen.query_id, seen.windows, ())])
    assert "not on the page" in problem


def test_nothing_else_is_found_by_a_planted_word() -> None:
    searches = [search for case in CASES for search in case.searches]
    words = [word for each in searches for word in (each.query, *(rewrite.text for rewrite in each.rewrites))]
    owners = {word: {case.name for case in CASES for each in case.documents if word in each.text} for word in words}
    assert all(len(found) <= 1 for found in owners.values())
    other_run = {word for case in planted_cases("other") for each in case.documents for word in each.text.split()}
    assert not other_run & set(words)


def test_every_id_is_used_once_and_a_run_is_repeatable() -> None:
    documents = [each.object_id for case in CASES for each in case.documents]
    events = [each.event_id for case in CASES for each in case.events]
    for ids in (documents, events):
        assert len(ids) == len(set(ids))
    assert [each.event_id for case in CASES for each in case.outcomes] == events
    assert planted_cases("run") == CASES


def test_purchases_lie_on_both_sides_of_the_rule() -> None:
    spans = {
        case.name: case.events[1].after - case.events[0].after
        for case in planted_cases("run", timedelta(hours=2))
        if case.name.startswith("purchase")
    }
    assert spans["purchase in time"] < timedelta(hours=2) < spans["purchase too late"]


@pytest.mark.parametrize(
    ("original", "first", "second", "credit"),
    [
        ("x", "a", "b", None),
        ("a", "x", "y", Credit(0, (Share("", Fraction(1)),))),
        ("x", "a", "y", Credit(1, (Share("r1", Fraction(1)),))),
        ("a", "a", "y", Credit(2, (Share("r1", Fraction(1)),))),
        ("x", "a", "ya", Credit(1, (Share("r1", Fraction(2, 3)), Share("r2", Fraction(1, 3))))),
    ],
)
def test_credit_is_membership_of_windows(original: str, first: str, second: str, credit: Credit | None) -> None:
    windows = [
        ChannelWindow("", tuple(original)),
        ChannelWindow("r1", tuple(first)),
        ChannelWindow("r2", tuple(second)),
    ]
    asked = "z" if credit is None else "a"
    assert credit_of(windows, asked) == credit


def test_crowds_fill_a_window() -> None:
    beyond = {case.name: case for case in CASES}["beyond the original's window"]
    (search,) = beyond.searches
    assert len(observe(search, CASES).windows[0].object_ids) == WINDOW_SIZE
