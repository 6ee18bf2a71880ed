"""The report as data: everything the JSON file and the page show, computed once, purely."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from iterqr_training.machine import Machine

from iterqr_benchmarks.demo.observation import FUSED, Hit, Observation
from iterqr_benchmarks.demo.verdict import Verdict, judge
from iterqr_benchmarks.evaluation.comparison import (
    CUTOFF,
    Comparison,
    Quality,
    RankedPair,
    compare,
    compare_by_kind,
    quality,
)
from iterqr_benchmarks.evaluation.coverage import Coverage, tail_coverage

TOTAL_TIMING = "total_ms"
REWRITE_TIMING = "rewrite_ms"


@dataclass(frozen=True, slots=True)
class RunContext:
    """What the run was: when, where, with what. `settings` and `seconds` are names and values for the reader."""

    created_at: str
    machine: Machine
    versions: Mapping[str, str]
    query_set: str
    seed: int
    settings: Mapping[str, str | int | float]
    catalog: Mapping[str, int]
    seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Times:
    """Median, 95th percentile and maximum of a duration in ms, and how many were measured."""

    count: int
    p50_ms: float
    p95_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class QueryReport:
    """One query with its measures. `relevant_count`: dishes known to satisfy it; the ids are in `observation`."""

    observation: Observation
    relevant_count: int
    plain: Quality
    channel: Quality
    new_true_hits: tuple[Hit, ...]
    works: bool

    @property
    def gain(self) -> float:
        """Change of precision@10."""
        return self.channel.precision_at_10 - self.plain.precision_at_10


@dataclass(frozen=True, slots=True)
class Report:
    """The whole report. `times` by what was timed; `outcomes` counts the query-level outcomes."""

    context: RunContext
    verdict: Verdict
    overall: Comparison
    by_kind: Mapping[str, Comparison]
    coverage: tuple[Coverage, ...]
    outcomes: Mapping[str, int]
    times: Mapping[str, Times]
    checkpoint_id: str
    queries: tuple[QueryReport, ...]


def build_report(context: RunContext, observations: Sequence[Observation]) -> Report:
    """Returns the report of a run.

    Raises:
        ValueError: There are no observations, or a query has no dish that satisfies it.
    """
    pairs = [ranked_pair(each) for each in observations]
    return Report(
        context=context,
        verdict=judge(observations),
        overall=compare(pairs, seed=context.seed),
        by_kind=compare_by_kind(pairs, seed=context.seed),
        coverage=tuple(tail_coverage([fused_after_ms(each) for each in observations])),
        outcomes=dict(Counter(each.rewriting.outcome for each in observations).most_common()),
        times=_times(observations),
        checkpoint_id=next((each.rewriting.checkpoint_id for each in observations if each.rewriting.checkpoint_id), ""),
        queries=tuple(_query_report(each) for each in observations),
    )


def ranked_pair(observation: Observation) -> RankedPair:
    """The observation as the measures take it."""
    return RankedPair(
        kind=observation.kind,
        plain=tuple(hit.dish_id for hit in observation.plain_hits),
        channel=tuple(hit.dish_id for hit in observation.channel_hits),
        relevant=observation.relevant,
    )


def fused_after_ms(observation: Observation) -> float | None:
    """Time from the request to the fused response; None if rewrites were not used."""
    if observation.rewriting.outcome != FUSED:
        return None
    return observation.rewriting.timings.get(TOTAL_TIMING, observation.channel_ms)


def _query_report(observation: Observation) -> QueryReport:
    pair = ranked_pair(observation)
    return QueryReport(
        observation=observation,
        relevant_count=len(observation.relevant),
        plain=quality(pair.plain, pair.relevant),
        channel=quality(pair.channel, pair.relevant),
        new_true_hits=observation.new_true_hits(CUTOFF),
        works=observation.works,
    )


def _times(observations: Sequence[Observation]) -> dict[str, Times]:
    measured = {
        "plain search": [each.plain_ms for each in observations],
        "search with the channel": [each.channel_ms for each in observations],
        "rewriting within it": _timings(observations, REWRITE_TIMING),
        "retrieval of the windows": _timings(observations, "windows_ms"),
        "fetch of new hits": _timings(observations, "fetch_ms"),
    }
    return {name: _summary(values) for name, values in measured.items() if values}


def _timings(observations: Sequence[Observation], name: str) -> list[float]:
    fused = [each.rewriting.timings for each in observations if each.rewriting.outcome == FUSED]
    return [timings[name] for timings in fused if name in timings]


def _summary(values: Sequence[float]) -> Times:
    p50, p95, most = (float(value) for value in np.quantile(np.asarray(values), [0.5, 0.95, 1.0]))
    return Times(count=len(values), p50_ms=p50, p95_ms=p95, max_ms=most)
