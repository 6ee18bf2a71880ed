"""One label for each thing: people before users before a judge, and for quality a judge before users.

Users tell by clicks, by reformulations and by how they spell. Where these differ on one thing the surer counts, which
is the heavier: much looked at and never clicked outweighs one user who searched for it next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from iterqr_training.dataset.rows import LabelSource, Task
from iterqr_training.labels.candidates import Candidates, Query
from iterqr_training.labels.judging import Subject
from iterqr_training.labels.personal_data import personal_data
from iterqr_training.labels.records import Kind, Label, Pair
from iterqr_training.labels.reference import Reference
from iterqr_training.labels.reformulations import Reformulation

_USERS = (LabelSource.CLICK, LabelSource.REFORMULATION, LabelSource.SPELLING)
_JUDGE = (LabelSource.JUDGE,)
_TOLD = ((LabelSource.TRUTH,), (LabelSource.HUMAN,))
_ORDER = {
    Task.QUALITY: (*_TOLD, _JUDGE, _USERS),  # users hardly tell how well a rewrite is worded
    Task.RELEVANCE: (*_TOLD, _USERS, _JUDGE),
}


@dataclass(frozen=True, slots=True)
class Merged:
    """One label for each task, query, region, kind and subject, in order. `overruled`: others, by whom they were of."""

    labels: tuple[Label, ...]
    overruled: dict[LabelSource, int]


def told_labels(
    source: Reference, candidates: Candidates, reformulations: Sequence[Reformulation] = ()
) -> tuple[Label, ...]:
    """Returns the labels of a reference as labels to learn from, with the logged queries' regions, bands and clients.

    A pair that was never logged keeps what its file says. A person's label that may name a person is left out.
    """
    logged: dict[Pair, dict[tuple[str, str], tuple[Query, str]]] = {}
    for kind, group in (
        (Kind.REWRITE, [(each.query, each.subject) for each in candidates.rewrites]),
        (Kind.REWRITE, [(each.both, each.subject) for each in reformulations]),
        (Kind.ITEM, [(each.query, each.subject) for each in candidates.items]),
    ):
        for query, subject in group:
            pair = Subject(query.text, subject, kind).pair
            logged.setdefault(pair, {}).setdefault((query.text, query.region), (query, subject))
    labels: list[Label] = []
    first = {(each.task, each.pair): each for each in reversed(source.labels)}
    for (task, pair), positive in source.answers.items():
        label = replace(first[task, pair], positive=positive)
        if personal_data(label.query) or personal_data(label.subject):
            continue
        found = [each for each in logged.get(pair, {}).values() if label.region in ("", each[0].region)]
        labels += [
            replace(
                label,
                query=query.text,
                subject=subject,
                region=query.region,
                band=query.band,
                clients=query.clients,
                observed_at=max(label.observed_at, query.observed_at),
            )
            for query, subject in found
        ]
        if not found and label.source is LabelSource.HUMAN:
            labels.append(label)
    return tuple(labels)


def merge(groups: Iterable[Sequence[Label]]) -> Merged:
    """Chooses among labels of one thing by who says it; of one rank the heavier, then the positive."""
    best: dict[tuple[Task, str, str, Kind, str], Label] = {}
    overruled: Counter[LabelSource] = Counter()
    for each in (label for group in groups for label in group):
        key = (each.task, each.query, each.region, each.kind, each.pair.subject_key)
        known = best.get(key)
        if known is None:
            best[key] = each
            continue
        winner, loser = sorted((known, each), key=_rank)
        best[key] = winner
        overruled[loser.source] += 1
    return Merged(tuple(sorted(best.values(), key=lambda each: each.order)), dict(overruled))


def _rank(label: Label) -> tuple[int, float, bool, str]:
    rank = next(place for place, sources in enumerate(_ORDER[label.task]) if label.source in sources)
    return rank, -label.weight, not label.positive, label.subject
