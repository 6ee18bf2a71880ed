"""Which rewrites a model should learn to write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from iterqr_proto.rewrite_format import MAX_LINE_CHARS, clean_text

from iterqr_training.dataset.rows import LabelSource, Task
from iterqr_training.labels.records import Kind, Label, query_key

_SURENESS = {
    LabelSource.TRUTH: 3,
    LabelSource.HUMAN: 2,
    LabelSource.CLICK: 1,
    LabelSource.REFORMULATION: 1,
    LabelSource.SPELLING: 1,
    LabelSource.JUDGE: 0,
}
_PEOPLES = (LabelSource.TRUTH, LabelSource.HUMAN, LabelSource.REFORMULATION)


def positive_rewrites(labels: Iterable[Label]) -> Mapping[tuple[str, str], tuple[Label, ...]]:
    """Returns the labels of relevance of good rewrites by query and region, best first, each text once.

    Good is what is relevant, is not called unusable, and fits a line of the format without being the query again. A
    person's label comes first, then those of clicks and reformulations together, then a judge's, each by weight and
    text.

    Unless people themselves wrote it, what begins with the query or with another good rewrite, of two words or more,
    is left out: it finds little else, and a model that learns to write "curry with rice" and then "curry with rice and
    rice" writes nothing else.
    """
    labels = tuple(labels)
    unusable = {
        (each.query, each.region, each.pair.subject_key)
        for each in labels
        if each.task is Task.QUALITY and not each.positive
    }
    found: dict[tuple[str, str], list[Label]] = {}
    for each in labels:
        key = each.pair.subject_key
        is_good = each.task is Task.RELEVANCE and each.kind is Kind.REWRITE and each.positive
        fits = 0 < len(clean_text(each.subject)) <= MAX_LINE_CHARS and key != query_key(each.query)
        if is_good and fits and (each.query, each.region, key) not in unusable:
            found.setdefault((each.query, each.region), []).append(each)
    distinct = {key: _distinct(group) for key, group in sorted(found.items())}
    return {key: group for key, group in distinct.items() if group}


def _distinct(group: list[Label]) -> tuple[Label, ...]:
    best: dict[str, Label] = {}
    for each in sorted(group, key=lambda each: (-_SURENESS[each.source], -each.weight, each.subject)):
        best.setdefault(each.pair.subject_key, each)
    return tuple(
        each
        for key, each in best.items()
        if each.source in _PEOPLES or not any(_extends(key, other) for other in (*best, each.pair.query_key))
    )


def _extends(words: str, others: str) -> bool:
    return " " in others and words.startswith(f"{others} ")
