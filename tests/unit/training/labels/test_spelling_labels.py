"""Usual spellings as rewrites."""

from __future__ import annotations

from datetime import timedelta

from iterqr_training.dataset.rows import Band, Task
from iterqr_training.labels.candidates import Query
from iterqr_training.labels.records import Label
from iterqr_training.labels.reformulations import usual_spellings
from iterqr_training.labels.settings import LabelSettings
from iterqr_training.labels.spelling_labels import spelling_labels
from support.labelling import NOON

RULES = LabelSettings()


def query(text: str, searches: int, clients: int = 5, later_h: int = 0) -> Query:
    return Query(text, "north", Band.TAIL, searches, clients, NOON + timedelta(hours=later_h))


def labels_of(*every: Query) -> tuple[Label, ...]:
    queries = {(each.region, each.text): each for each in every}
    return spelling_labels(queries, usual_spellings(queries, [], RULES), RULES)


def test_a_label_is_of_both_spellings() -> None:
    found = labels_of(query("winggs", 1), query("wings", 4, clients=3, later_h=1))
    assert {(each.task, each.query, each.subject) for each in found} == {
        (task, "winggs", "wings") for task in (Task.RELEVANCE, Task.QUALITY)
    }
    assert {(each.clients, each.observed_at, each.weight) for each in found} == {(3, NOON + timedelta(hours=1), 0.8)}


def test_punctuation_is_no_spelling() -> None:
    assert labels_of(query("wings!", 1), query("wings", 4)) == ()


def test_what_too_few_searched_for_is_not_told() -> None:
    assert labels_of(query("winggs", 1, clients=2), query("wings", 4)) == ()
    assert labels_of(query("winggs", 1), query("wings", 4, clients=2)) == ()
