"""What clicks make of a rewrite."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from iterqr_training.dataset.rows import Task
from iterqr_training.errors import SettingError
from iterqr_training.labels.candidates import Evidence
from iterqr_training.labels.click_labels import click_labels, decide_item, decide_rewrite
from iterqr_training.labels.settings import LabelSettings
from support.labelling import LIKED, MISSED, make_candidate

RULES = LabelSettings()
MEAN = 0.3


def verdict(evidence: Evidence, rules: LabelSettings = RULES) -> bool | None:
    decision = decide_rewrite(make_candidate(evidence), MEAN, rules)
    return None if decision is None else decision.positive


def test_what_users_click_is_good_and_what_they_pass_by_is_bad() -> None:
    assert verdict(LIKED) is True
    assert verdict(MISSED) is False


def test_nothing_is_bad_that_nobody_looked_at() -> None:
    unseen = Evidence(examined=0.1, clicks=0, page_examined=0.5, pages=1, hits=1)
    assert verdict(unseen) is None
    assert verdict(replace(unseen, examined=2.0, page_examined=2.0)) is False


def test_a_rewrite_that_retrieves_just_the_page_is_neither() -> None:
    # Three pages, all their hits, clicked as often as any.
    assert (
        verdict(Evidence(examined=6, clicks=1.8, covered=2, page_clicks=2, page_examined=6, pages=3, hits=30)) is None
    )


def test_a_click_on_something_deep_is_worth_more() -> None:
    first = Evidence(examined=1.5, clicks=0.5, covered=1, page_clicks=1, page_examined=3, pages=1, hits=1)
    assert verdict(first) is None
    assert verdict(replace(first, examined=0.1)) is True


def test_what_was_clicked_elsewhere_on_the_page_counts_against_it() -> None:
    missed = Evidence(examined=0.2, clicks=0, covered=0, page_clicks=1, page_examined=0.9, pages=1, hits=1)
    assert verdict(missed) is False
    assert verdict(replace(missed, page_clicks=0)) is None


def test_a_good_rate_is_not_enough_where_most_clicks_went_elsewhere() -> None:
    assert verdict(Evidence(examined=0.5, clicks=1, covered=1, page_clicks=4, page_examined=5, pages=4, hits=1)) is None


def test_more_exposure_makes_surer() -> None:
    few, many = (
        decide_rewrite(make_candidate(replace(MISSED, page_examined=examined)), MEAN, RULES) for examined in (1, 50)
    )
    assert few is not None
    assert many is not None
    assert 0 < few.weight < many.weight <= 1


def test_items_need_examination_to_be_bad() -> None:
    item = Evidence(examined=3, clicks=0, page_examined=3)
    decided = decide_item(make_candidate(item), MEAN, RULES)
    assert decided is not None
    assert not decided.positive
    assert decide_item(make_candidate(replace(item, examined=0.5)), MEAN, RULES) is None


def test_without_any_click_nothing_is_labelled_but_what_was_never_shown() -> None:
    unshown = make_candidate(Evidence(examined=0, clicks=0, page_examined=9, pages=3), subject="zzz")
    seen = make_candidate(Evidence(examined=9, clicks=0, page_examined=9, pages=9, hits=9))
    (label,) = click_labels([seen, unshown], [], RULES).labels
    assert (label.task, label.subject, label.positive) == (Task.QUALITY, "zzz", False)


def test_items_of_a_query_are_capped_and_both_kinds_stay() -> None:
    liked = Evidence(examined=1, clicks=2, page_examined=1)
    ignored = Evidence(examined=5, clicks=0, page_examined=5)
    items = [make_candidate(liked, subject=f"good {n}") for n in range(9)]
    items += [make_candidate(ignored, subject=f"bad {n}") for n in range(9)]
    labels = click_labels([], items, LabelSettings(max_items_a_query=5)).labels
    assert sorted(label.positive for label in labels) == [False, False, True, True, True]


@pytest.mark.parametrize("name", ["level2_weight", "negative_coverage"])
def test_settings_name_themselves_and_their_limits(name: str) -> None:
    wrong: dict[str, Any] = {name: 7}
    with pytest.raises(SettingError, match=f"{name} is 7, and must be from 0 to"):
        LabelSettings(**wrong)
