"""Compares the searches of a set of queries without and with the rewrite channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from iterqr_benchmarks.evaluation.bootstrap import Interval, paired_bootstrap
from iterqr_benchmarks.evaluation.ranking import precision_at, recall_at

CUTOFF = 10
DEEP_CUTOFF = 50


@dataclass(frozen=True, slots=True)
class RankedPair:
    """What one query retrieved: ids, best first, without and with the channel, and the ids that satisfy it."""

    kind: str
    plain: tuple[str, ...]
    channel: tuple[str, ...]
    relevant: frozenset[str]


@dataclass(frozen=True, slots=True)
class Quality:
    """Measures of one result list: precision@10, recall within the first 10 and the first 50."""

    precision_at_10: float
    recall_at_10: float
    recall_at_50: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Means over a set of queries.

    `harm_rate`: share of queries whose precision@10 fell; `lift_rate`: share whose precision@10 rose.
    `plain_empty`, `channel_empty`: queries with no hit at all. `precision_gain`, `recall_gain`: mean differences with
    their intervals (recall within the first 50).
    """

    queries: int
    plain: Quality
    channel: Quality
    precision_gain: Interval
    recall_gain: Interval
    harm_rate: float
    lift_rate: float
    plain_empty: int
    channel_empty: int


def quality(ranked: Sequence[str], relevant: frozenset[str]) -> Quality:
    """Returns the measures of one list."""
    return Quality(
        precision_at_10=precision_at(CUTOFF, ranked, relevant),
        recall_at_10=recall_at(CUTOFF, ranked, relevant),
        recall_at_50=recall_at(DEEP_CUTOFF, ranked, relevant),
    )


def compare(pairs: Sequence[RankedPair], *, seed: int) -> Comparison:
    """Returns the comparison of all pairs.

    Args:
        pairs: One for each query.
        seed: Of the bootstrap.

    Raises:
        ValueError: There are no pairs, or a query has no document that satisfies it.
    """
    plain = [quality(pair.plain, pair.relevant) for pair in pairs]
    channel = [quality(pair.channel, pair.relevant) for pair in pairs]
    precision = [after.precision_at_10 - before.precision_at_10 for before, after in zip(plain, channel, strict=True)]
    recall = [after.recall_at_50 - before.recall_at_50 for before, after in zip(plain, channel, strict=True)]
    return Comparison(
        queries=len(pairs),
        precision_gain=paired_bootstrap(precision, seed=seed),
        recall_gain=paired_bootstrap(recall, seed=seed),
        plain=_mean(plain),
        channel=_mean(channel),
        harm_rate=sum(gain < 0 for gain in precision) / len(pairs),
        lift_rate=sum(gain > 0 for gain in precision) / len(pairs),
        plain_empty=sum(not pair.plain for pair in pairs),
        channel_empty=sum(not pair.channel for pair in pairs),
    )


def compare_by_kind(pairs: Sequence[RankedPair], *, seed: int) -> dict[str, Comparison]:
    """Returns a comparison for each kind of query, kinds in alphabetical order."""
    kinds = sorted({pair.kind for pair in pairs})
    return {kind: compare([pair for pair in pairs if pair.kind == kind], seed=seed) for kind in kinds}


def _mean(qualities: Sequence[Quality]) -> Quality:
    count = len(qualities)
    return Quality(
        precision_at_10=sum(each.precision_at_10 for each in qualities) / count,
        recall_at_10=sum(each.recall_at_10 for each in qualities) / count,
        recall_at_50=sum(each.recall_at_50 for each in qualities) / count,
    )
