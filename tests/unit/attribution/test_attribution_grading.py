"""The grader sees every way in which attribution can be wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.attribution.case import Tag, Weights, fused_order, make
from support.attribution.catalog import catalog, chosen
from support.attribution.grading import Answer, grade, report, score

CASE = make("a kind", "a name", {"a": "pad*2", "b": "pad thai"}, "pad", ("thai",), ["a b", "b"])
TAGS = (Tag(0, "b", "original", 2, 1.0), Tag(0, "b", "rewrite 1", 1, 1.0), Tag(0, "a", "original", 1, 2.0))
EXACT = Answer(outcomes=("fused",), pages=(("b", "a"),), tags=TAGS, retrieved=(("thai", 1),))


def test_an_exact_answer() -> None:
    graded = grade(CASE, EXACT)
    assert graded.is_exact
    assert graded.right == 3
    assert (score([graded]).precision, score([graded]).recall) == (1.0, 1.0)


def test_scores_may_differ_by_rounding() -> None:
    tags = (*TAGS[:2], replace(TAGS[2], score=2.0000001))
    assert grade(CASE, replace(EXACT, tags=tags)).is_exact


@pytest.mark.parametrize(
    "wrong",
    [
        replace(TAGS[2], rank=2),
        replace(TAGS[2], score=2.1),
        replace(TAGS[2], channel="rewrite 1"),
        replace(TAGS[2], document="c"),
        replace(TAGS[2], page=1),
    ],
)
def test_a_wrong_tag_costs_precision_and_recall(wrong: Tag) -> None:
    graded = grade(CASE, replace(EXACT, tags=(*TAGS[:2], wrong)))
    assert graded.extra == (wrong,)
    assert graded.missing == (TAGS[2],)
    assert score([graded]).precision == score([graded]).recall == pytest.approx(2 / 3)
    assert "a kind: a name" in report([graded])
    assert "missing tag  a: original, rank 1, score 2.0" in report([graded])


def test_a_lacking_tag_costs_recall_and_one_too_many_precision() -> None:
    lacking = score([grade(CASE, replace(EXACT, tags=TAGS[:2]))])
    twice = score([grade(CASE, replace(EXACT, tags=(*TAGS, TAGS[0])))])
    assert [lacking.precision, lacking.recall] == pytest.approx([1, 2 / 3])
    assert [twice.precision, twice.recall] == pytest.approx([3 / 4, 1])


@pytest.mark.parametrize(
    "changed",
    [{"outcomes": ("timeout",)}, {"pages": (("a", "b"),)}, {"retrieved": (("thai", 2),)}],
)
def test_what_else_differs_is_told(changed: dict[str, tuple[object, ...]]) -> None:
    (name,) = changed
    graded = grade(CASE, replace(EXACT, **changed))  # type: ignore[arg-type]
    assert not graded.is_exact
    assert name in graded.told()


def test_fused_order_breaks_ties_by_best_rank_then_by_writing() -> None:
    windows = (("a", "b"), ("c", "d"))
    assert fused_order(windows, Weights(1, 1, 60), ["d", "c", "b", "a"]) == ["c", "a", "d", "b"]
    assert fused_order(windows, Weights(1, 0.5, 60), ["a", "b", "c", "d"]) == ["a", "b", "c", "d"]


def test_the_catalog_is_large_and_each_case_has_a_name_of_its_own() -> None:
    names = [(case.kind, case.name) for case in catalog()]
    assert len(names) == len(set(names)) >= 200
    assert {case.kind for case in chosen()} == {case.kind for case in catalog()}
