"""One label for each thing: people before users before a judge, and for quality a judge before users.

Users tell by clicks, by reformulations and by how they spell. Where these differ on one thing the surer counts, which
is the heavier: much looked at and never clicked outweighs one user who searched for it next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from iterqr_training.dataset.rows import Band, LabelSource, Task
from iterqr_training.labels.candidates import Candidates
from iterqr_training.labels.judging import Subject
from iterqr_training.labels.personal_data import personal_data
from iterqr_training.labels.records import Kind, Label, Pair
from iterqr_training.labels.reference import Reference

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


@dataclass(frozen=True, slots=True)
class _Logged:
    """What is known of a pair that was logged, whatever is said of it."""

    query: str
    region: str
    subject: str
    kind: Kind
    band: Band
    clients: int
    observed_at: datetime


def told_labels(source: Reference, candidates: Candidates, by_users: Sequence[Label] = ()) -> tuple[Label, ...]:
    """Returns the labels of a reference as labels to learn from, with the logged queries' regions, bands and clients.

    `by_users`: labels of reformulations and spellings, whose pairs no candidate need have: these were logged, too.
    A pair that was never logged keeps what its file says. A person's label that may name a person is left out.
    """
    logged: dict[Pair, dict[tuple[str, str], _Logged]] = {}
    for each in (*_of_candidates(candidates), *_of_labels(by_users)):
        pair = Subject(each.query, each.subject, each.kind).pair
        logged.setdefault(pair, {}).setdefault((each.query, each.region), each)
    labels: list[Label] = []
    first = {(each.task, each.pair): each for each in reversed(source.labels)}
    for (task, pair), positive in source.answers.items():
        label = replace(first[task, pair], positive=positive)
        if personal_data(label.query) or personal_data(label.subject):
            continue
        found = [each for each in logged.get(pair, {}).values() if label.region in ("", each.region)]
        labels += [
            replace(
                label,
                query=each.query,
                subject=each.subject,
                region=each.region,
                band=each.band,
                clients=each.clients,
                observed_at=max(label.observed_at, each.observed_at),
            )
            for each in found
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


def _of_candidates(candidates: Candidates) -> Iterator[_Logged]:
    for kind, group in ((Kind.REWRITE, candidates.rewrites), (Kind.ITEM, candidates.items)):
        for each in group:
            query = each.query
            yield _Logged(query.text, query.region, each.subject, kind, query.band, query.clients, query.observed_at)


def _of_labels(labels: Sequence[Label]) -> Iterator[_Logged]:
    for each in labels:
        yield _Logged(each.query, each.region, each.subject, each.kind, each.band, each.clients, each.observed_at)
