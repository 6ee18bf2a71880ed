"""Agreement, and whether a judge is believed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import pytest
from iterqr_training.dataset.rows import LabelSource, Task
from iterqr_training.labels.agreement import agreement, kappas, label_agreement_check
from iterqr_training.labels.candidates import Candidates
from iterqr_training.labels.judge_labels import beliefs, fit_threshold, judge_labels, subjects_to_judge
from iterqr_training.labels.judging import Judging, Subject, Verdict
from iterqr_training.labels.merging import merge
from iterqr_training.labels.records import Kind, Label
from iterqr_training.labels.reference import HUMAN, Reference, reference
from iterqr_training.labels.settings import LabelSettings
from support.labelling import make_candidate, make_label

RULES = LabelSettings()
QUERIES = 60


def people() -> Reference:
    """Of each query one good rewrite and one bad."""
    labels = [
        make_label(f"query {n}", subject, positive=good, region="", source=LabelSource.HUMAN)
        for n in range(QUERIES)
        for subject, good in (("good", True), ("bad", False))
    ]
    return reference(HUMAN, labels)


def candidates() -> Candidates:
    return Candidates(
        tuple(
            make_candidate(query=f"query {n}", subject=subject)
            for n in range(QUERIES)
            for subject in ("good", "bad", "new")
        ),
        (),
        {},
    )


def judged(relevance: Callable[[Subject], float]) -> Judging:
    asked = subjects_to_judge(candidates(), [], [people()], RULES)
    return Judging({each: Verdict(0.9, relevance(each)) for each in asked})


def test_kappa_of_a_known_table() -> None:
    # Cohen's own kind of example: 20 and 15 agreed, 5 and 10 not. Observed 0.7, by chance 0.5.
    assert kappas(np.array([[20.0, 5.0, 10.0, 15.0]]))[0] == pytest.approx(0.4)
    assert math.isnan(kappas(np.array([[9.0, 0.0, 0.0, 0.0]]))[0])


def test_the_interval_is_of_queries_and_covers_the_value() -> None:
    chance = random.Random(5)
    told = {key: answer if chance.random() < 0.8 else not answer for key, answer in people().answers.items()}
    found = agreement("clicks", told, Task.RELEVANCE, Kind.REWRITE, people(), seed=7)
    assert found.pairs == 2 * QUERIES
    assert found.kappa.low < found.kappa.value < found.kappa.high
    assert 0.4 < found.kappa.value < 0.8


@pytest.mark.parametrize(("share_flipped", "passed"), [(0.0, True), (0.2, True), (0.5, False), (1.0, False)])
def test_flipped_labels_do_not_pass(share_flipped: float, passed: bool) -> None:
    chance = random.Random(3)
    told = {key: answer != (chance.random() < share_flipped) for key, answer in people().answers.items()}
    found = agreement("final", told, Task.RELEVANCE, Kind.REWRITE, people(), seed=7)
    check = label_agreement_check(found, min_kappa=0.2, min_pairs=30)
    assert (check.name, check.passed) == ("label_agreement", passed)
    assert "human labels" in check.words


def test_too_few_pairs_are_no_verdict() -> None:
    told = dict(list(people().answers.items())[:6])
    found = agreement("final", told, Task.RELEVANCE, Kind.REWRITE, people(), seed=7)
    assert label_agreement_check(found, min_kappa=0.2, min_pairs=30).passed is None


def test_people_who_contradict_each_other_are_no_reference() -> None:
    labels = [make_label(positive=answer, source=LabelSource.HUMAN) for answer in (True, False)]
    assert reference(HUMAN, labels).answers == {}
    assert reference(HUMAN, [*labels, labels[1]]).answers == {(Task.RELEVANCE, labels[0].pair): False}


def test_a_judge_who_agrees_labels_what_nobody_else_did() -> None:
    judging = judged(lambda each: 0.9 if each.text == "good" else 0.2)
    believed = beliefs(judging, [], [people()], RULES)
    relevance = next(each for each in believed if (each.task, each.kind) == (Task.RELEVANCE, Kind.REWRITE))
    assert relevance.used
    labels = judge_labels(candidates(), judging, believed, RULES)
    assert {(each.subject, each.positive) for each in labels} == {("good", True), ("bad", False), ("new", False)}
    assert {each.task for each in labels} == {Task.RELEVANCE}, "nobody told how good the judge is at quality"
    assert all(0 < each.weight <= RULES.judge_weight for each in labels)


def test_a_judge_below_the_least_kappa_labels_nothing() -> None:
    chance = random.Random(4)
    judging = judged(lambda _each: chance.random())
    believed = beliefs(judging, [], [people()], RULES)
    assert not any(each.used for each in believed)
    assert "clicks alone label: kappa" in believed[1].words
    assert judge_labels(candidates(), judging, believed, RULES) == ()


def test_a_judge_whom_nobody_checked_labels_nothing() -> None:
    judging = judged(lambda each: float(each.text == "good"))
    believed = beliefs(judging, [], [], RULES)
    assert not any(each.used for each in believed)
    assert "0 pairs of a reference, and 30 are needed" in believed[1].words


def test_clicks_fit_the_threshold_and_people_only_measure() -> None:
    """A judge who never goes below 0.9 is useless at a half, and perfect at 0.95."""
    clicks: list[Label] = [
        make_label(f"query {n}", subject, positive=subject == "good")
        for n in range(QUERIES)
        for subject in ("good", "bad")
    ]
    judging = judged(lambda each: 0.99 if each.text == "good" else 0.91)
    fitted = beliefs(judging, clicks, [people()], RULES)[1]
    assert fitted.used
    assert 0.91 < fitted.threshold < 0.99
    assert not beliefs(judging, [], [people()], RULES)[1].used


def test_a_threshold_of_few_labels_is_a_half() -> None:
    assert fit_threshold([0.9, 0.95], [False, True]) == 0.5


def test_the_reference_is_asked_first_and_the_budget_holds() -> None:
    rules = LabelSettings(max_judged=2 * QUERIES + 3)
    asked = subjects_to_judge(candidates(), [], [people()], rules)
    assert len(asked) == len(set(asked)) == rules.max_judged
    assert {each.text for each in asked[: 2 * QUERIES]} == {"good", "bad"}


def test_personal_texts_of_people_are_not_sent_to_a_judge() -> None:
    told = reference(HUMAN, [make_label("mail ann@example.com", "mail", source=LabelSource.HUMAN)])
    assert subjects_to_judge(Candidates((), (), {}), [], [told], RULES) == ()


def test_who_overrules_whom() -> None:
    click, judge = make_label(positive=True), make_label(positive=False, source=LabelSource.JUDGE)
    person = make_label(positive=False, source=LabelSource.HUMAN, weight=0.1)
    assert merge([[click], [judge]]).labels == (click,)
    assert merge([[click], [judge], [person]]).labels == (person,)
    quality = [make_label(task=Task.QUALITY, positive=each.positive, source=each.source) for each in (click, judge)]
    assert merge([quality]).labels == (quality[1],)
