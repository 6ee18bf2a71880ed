"""Compares what a search answered with what its case expects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from support.attribution.case import Case, Tag


@dataclass(frozen=True, slots=True)
class Answer:
    """What of a case's searches can be compared: outcomes and documents of each page, tags, rewrites of the first."""

    outcomes: tuple[str, ...]
    pages: tuple[tuple[str, ...], ...]
    tags: tuple[Tag, ...]
    retrieved: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Grade:
    """A case's tags: right, wrong (`extra`) and lacking (`missing`); and whatever else differs, in words."""

    case: Case
    right: int
    extra: tuple[Tag, ...]
    missing: tuple[Tag, ...]
    otherwise: tuple[str, ...]

    @property
    def is_exact(self) -> bool:
        return not (self.extra or self.missing or self.otherwise)

    def told(self) -> str:
        """The case by name and what is wrong with it, one line each."""
        lines = [f"{self.case.kind}: {self.case.name}"]
        lines += [f"    wrong tag    {_told(tag)}" for tag in self.extra]
        lines += [f"    missing tag  {_told(tag)}" for tag in self.missing]
        lines += [f"    {difference}" for difference in self.otherwise]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Score:
    """Over several cases: precision is the share of tags that are right, recall the share of right tags given."""

    cases: int
    tags: int
    precision: float
    recall: float


def grade(case: Case, answer: Answer) -> Grade:
    """Tags are equal if page, document, channel, rank and, where the case knows it, score are."""
    known = case.scoring is not None
    expected = Counter(_comparable(tag, known) for tag in case.expected_tags())
    actual = Counter(_comparable(tag, known) for tag in answer.tags)
    otherwise = [
        f"{what}: {was!r} instead of {wanted!r}"
        for what, was, wanted in (
            ("outcomes", answer.outcomes, (case.outcome,) * len(case.expected_pages())),
            ("pages", answer.pages, case.expected_pages()),
            ("retrieved", list(answer.retrieved), case.expected_retrieved()),
        )
        if was != wanted
    ]
    return Grade(
        case=case,
        right=(expected & actual).total(),
        extra=tuple((actual - expected).elements()),
        missing=tuple((expected - actual).elements()),
        otherwise=tuple(otherwise),
    )


def score(grades: Sequence[Grade]) -> Score:
    """Micro-averaged over all tags."""
    right = sum(each.right for each in grades)
    given = right + sum(len(each.extra) for each in grades)
    expected = right + sum(len(each.missing) for each in grades)
    return Score(
        cases=len(grades),
        tags=expected,
        precision=right / given if given else 1.0,
        recall=right / expected if expected else 1.0,
    )


def report(grades: Iterable[Grade]) -> str:
    """A table by kind, and every case that is not exact."""
    by_kind: dict[str, list[Grade]] = {}
    for each in grades:
        by_kind.setdefault(each.case.kind, []).append(each)
    lines = [f"{'kind':<24}{'cases':>6}{'tags':>7}{'precision':>11}{'recall':>8}"]
    for kind, of_kind in by_kind.items():
        told = score(of_kind)
        lines.append(f"{kind:<24}{told.cases:>6}{told.tags:>7}{told.precision:>11.4f}{told.recall:>8.4f}")
    lines += [each.told() for of_kind in by_kind.values() for each in of_kind if not each.is_exact]
    return "\n".join(lines)


def _comparable(tag: Tag, with_score: bool) -> Tag:
    known = with_score and tag.score is not None
    return Tag(tag.page, tag.document, tag.channel, tag.rank, float(f"{tag.score:.5g}") if known else None)


def _told(tag: Tag) -> str:
    page = f"page {tag.page + 1}, " if tag.page else ""
    return f"{page}{tag.document}: {tag.channel}, rank {tag.rank}, score {tag.score}"
