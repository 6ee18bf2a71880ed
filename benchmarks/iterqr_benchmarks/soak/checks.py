"""What must hold after a soak; pure, from samples and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from iterqr_benchmarks.soak.sampling import MEASURES, Sample
from iterqr_benchmarks.soak.trend import Point, Trend, trend

WARM_UP_SHARE = 1 / 3
"""Of the samples: caches fill and code is compiled; what still grows after that is looked at."""

TOLERATED_SHARE: Mapping[str, float] = {"heap_mib": 0.05, "direct_mib": 0.25, "private_mib": 0.1, "file_handles": 0.2}
"""Of the level: indices that are written meanwhile have more segments to remember and to hold open."""

TOLERATED: Mapping[str, float] = {"threads": 3, "search_contexts": 2, "search_tasks": 2}
"""Searches are in flight while a sample is taken."""

SHORT_S = 300.0
TOLERATED_IN_SHORT: Mapping[str, float] = {"threads": 40, "heap_mib": 40}
"""A node's pools grow to their size as they are used, and give threads back only after minutes; its heap fills with
what is made on first use."""

USED: frozenset[str] = frozenset({"fused", "expanded", "shadow"})
LEAST_USED = 0.5
"""Of the searches through the pipeline: else it is refusals that were soaked."""
LEAST_USED_IN_SHORT = 0.25
"""The server is away for half of a soak of a minute where starting it takes long."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Of searches through the pipeline, and of impressions.

    `answered`: by the load's own tally. `given_up`: whose caller hung up. `counted`: by the node. The impressions are
    as the node tells them; `in_index` and `distinct` are the documents and their query ids, `strange` those of no
    search that was answered. `missing`: answered searches that must be sampled and are not in the index; `unsampled`:
    those in the index that must not be. `ubi_queries`: documents of that index, one for each impression.
    """

    answered: int
    given_up: int
    counted: int
    written: int
    sampled_out: int
    queued: int
    dropped: int
    refused: int
    failed: int
    in_index: int
    distinct: int
    strange: int
    missing: int
    unsampled: int
    ubi_queries: int


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold, and the numbers that say whether it does."""

    name: str
    holds: bool
    told: str


def after_warm_up(samples: Sequence[Sample], measure: str) -> list[Point]:
    """The series that a trend is looked for in."""
    kept = samples[int(len(samples) * WARM_UP_SHARE) :]
    return [(each.at_s, getattr(each, measure)) for each in kept]


def trends(samples: Sequence[Sample]) -> dict[str, Trend]:
    """The trend of every measure."""
    return {measure: trend(after_warm_up(samples, measure)) for measure in MEASURES}


def checks(
    samples: Sequence[Sample], idle: Sample, outcomes: Mapping[str, int], counts: Counts, failures: Sequence[str]
) -> tuple[Check, ...]:
    """All that must hold.

    Args:
        samples: Under load, in order.
        idle: Taken when the load was over.
        outcomes: Searches through the pipeline by what became of them.
        counts: Of searches and impressions, when all was written.
        failures: What should not have failed and did.
    """
    return (
        *_no_growth(samples),
        *_nothing_left(idle),
        _channel_was_used(outcomes, LEAST_USED_IN_SHORT if _is_short(samples) else LEAST_USED),
        *_all_counted(counts),
        *_all_logged(counts),
        _none_failed(failures),
    )


def _is_short(samples: Sequence[Sample]) -> bool:
    return samples[-1].at_s < SHORT_S


def _no_growth(samples: Sequence[Sample]) -> list[Check]:
    found = []
    for measure, its in trends(samples).items():
        tolerance = TOLERATED.get(measure, TOLERATED_SHARE.get(measure, 0.0) * its.level)
        if _is_short(samples):
            tolerance = TOLERATED_IN_SHORT.get(measure, tolerance)
        told = f"{its.growth:+.1f} at level {its.level:.1f} (tolerated {tolerance:.1f}), p {its.p_value:.3f}"
        found.append(Check(f"{measure} does not grow", not its.is_growth(tolerance), told))
    return found


def _nothing_left(idle: Sample) -> list[Check]:
    return [
        Check(f"no {measure} when idle", getattr(idle, measure) == 0, f"{getattr(idle, measure):.0f}")
        for measure in ("search_contexts", "search_tasks")
    ]


def _channel_was_used(outcomes: Mapping[str, int], least: float) -> Check:
    used = sum(count for name, count in outcomes.items() if name in USED) / max(1, sum(outcomes.values()))
    return Check(f"of the searches at least {least:.0%} used rewrites", used >= least, f"{used:.1%}")


def _all_counted(counts: Counts) -> list[Check]:
    most = counts.answered + counts.given_up
    told = f"{counts.answered} answered, {counts.given_up} given up, {counts.counted} counted"
    return [Check("each search is counted once", counts.answered <= counts.counted <= most, told)]


def _all_logged(counts: Counts) -> list[Check]:
    sampled = counts.counted - counts.sampled_out
    return [
        Check(
            "impressions written are the searches sampled", counts.written == sampled, f"{counts.written} of {sampled}"
        ),
        Check("impressions written are in the index", counts.in_index == counts.written, f"{counts.in_index}"),
        Check(
            "so is the UBI query of each",
            counts.ubi_queries == counts.in_index,
            f"{counts.ubi_queries} of {counts.in_index}",
        ),
        Check("each is of another search", counts.distinct == counts.in_index, f"{counts.distinct}"),
        Check(
            "each is of a search there was", counts.strange <= counts.given_up, f"{counts.strange} of nobody's tally"
        ),
        Check(
            "no sampled search is missing and no other is there",
            counts.missing == counts.unsampled == 0,
            f"{counts.missing}, {counts.unsampled}",
        ),
        Check(
            "none waits, was dropped or refused",
            counts.queued == counts.dropped == counts.refused == counts.failed == 0,
            f"{counts.queued}, {counts.dropped}, {counts.refused}, {counts.failed}",
        ),
    ]


def _none_failed(failures: Sequence[str]) -> Check:
    return Check("no search failed", not failures, "; ".join(failures[:3]) or "none")
