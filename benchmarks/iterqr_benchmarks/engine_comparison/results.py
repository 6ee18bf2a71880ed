"""What was measured, and the numbers made from it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iterqr_benchmarks.engine_comparison.validity import is_valid, through_rewrite, usable_rewrites
from iterqr_benchmarks.engine_comparison.worker_process import Answer


@dataclass(frozen=True, slots=True)
class Measurement:
    """One engine over all queries once. `round` counts from 1; `stats` are what the engine's counters rose by."""

    engine: str
    concurrency: int
    round: int
    wall_s: float
    answers: tuple[Answer, ...]
    stats: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Summary:
    """One engine at one concurrency over some rounds. Latencies in seconds."""

    engine: str
    concurrency: int
    queries: int
    p50_s: float
    p90_s: float
    p99_s: float
    first_token_p50_s: float
    queries_per_s: float
    tokens_per_query: float
    valid_share: float
    rewrites_per_query: float


def summarize(measurements: Sequence[Measurement], queries: Mapping[str, str], max_rewrites: int) -> Summary:
    """Returns the numbers of measurements of one engine at one concurrency.

    Args:
        measurements: At least one.
        queries: The query of each answer's id.
        max_rewrites: Outputs are judged up to this many `rw:` lines.
    """
    answers = [answer for measurement in measurements for answer in measurement.answers]
    texts = [(through_rewrite(answer.text, max_rewrites), queries[answer.id]) for answer in answers]
    latencies = [answer.latency_s for answer in answers]
    return Summary(
        engine=measurements[0].engine,
        concurrency=measurements[0].concurrency,
        queries=len(answers),
        p50_s=percentile(latencies, 50),
        p90_s=percentile(latencies, 90),
        p99_s=percentile(latencies, 99),
        first_token_p50_s=percentile([answer.first_s for answer in answers], 50),
        queries_per_s=len(answers) / sum(measurement.wall_s for measurement in measurements),
        tokens_per_query=mean(answer.tokens for answer in answers),
        valid_share=mean(is_valid(text, query) for text, query in texts),
        rewrites_per_query=mean(len(usable_rewrites(text, query)) for text, query in texts),
    )


def percentile(values: Iterable[float], percent: float) -> float:
    """Returns the value below which `percent` of the values lie, between neighbours in proportion; NaN of none."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    place = (len(ordered) - 1) * percent / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def mean(values: Iterable[float]) -> float:
    """Returns the arithmetic mean; NaN of none."""
    taken = list(values)
    return sum(taken) / len(taken) if taken else math.nan


def counter_rise(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what each counter rose by: `*_total`, and the drafts of each source."""
    earlier, later = _counters(before), _counters(after)
    return {name: _rise(earlier.get(name), value) for name, value in later.items()}


def add_counters(stats: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the sums of counters by name."""
    total: dict[str, Any] = {}
    for each in stats:
        for name, value in each.items():
            if isinstance(value, Mapping):
                total[name] = add_counters([total.get(name, {}), value])
            else:
                total[name] = total.get(name, 0) + value
    return total


def _counters(stats: Mapping[str, Any]) -> dict[str, Any]:
    counters = {name: value for name, value in stats.items() if name.endswith("_total")}
    for count in ("proposed", "accepted"):
        counters[f"drafts_{count}_total"] = {each["source"]: each[count] for each in stats.get("drafts", ())}
    return counters


def _rise(before: Any, after: Any) -> Any:  # noqa: ANN401 - a number or a mapping of such
    if isinstance(after, Mapping):
        earlier = before if isinstance(before, Mapping) else {}
        return {name: _rise(earlier.get(name), value) for name, value in after.items()}
    return after - (before or 0)
