"""What searches came to, and the numbers made from it. Pure."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from iterqr_benchmarks.engine_comparison.results import percentile
from iterqr_benchmarks.search_load.plan import PLAIN, Phase


@dataclass(frozen=True, slots=True)
class PhaseSamples:
    """One phase. `outcomes`: of the rewrite channel, "" for searches without one; failed searches by their error.

    `measured_s`: from the end of the lead-in until the last search began; `node_cpu_s`, `server_cpu_s` and
    `maker_cpu_s`: processor time that node, rewrite server and load maker took meanwhile; NaN where it is not known.
    """

    phase: Phase
    latencies_ms: tuple[float, ...]
    outcomes: dict[str, int]
    measured_s: float
    node_cpu_s: float
    server_cpu_s: float
    maker_cpu_s: float


@dataclass(frozen=True, slots=True)
class Numbers:
    """One phase, or the medians of several rounds. CPU in ms per search."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    per_s: float
    node_cpu_ms: float
    server_cpu_ms: float
    maker_cpu_ms: float


@dataclass(frozen=True, slots=True)
class Summary:
    """One arm with one client library and so many users, over all rounds.

    `added_p50_ms`, `throughput_share` and `added_node_cpu_ms` compare with the plain searches of the same round: the
    median of the rounds, and the least and the most of them.
    """

    arm: str
    client: str
    users: int
    searches: int
    numbers: Numbers
    added_p50_ms: tuple[float, float, float]
    throughput_share: tuple[float, float, float]
    added_node_cpu_ms: float
    outcomes: dict[str, float]


def phase_numbers(samples: PhaseSamples) -> Numbers:
    """Returns the numbers of one phase; NaN where no search ended."""
    searches = len(samples.latencies_ms)

    def ms_a_search(cpu_s: float) -> float:
        return cpu_s * 1000 / searches if searches else math.nan

    return Numbers(
        p50_ms=percentile(samples.latencies_ms, 50),
        p95_ms=percentile(samples.latencies_ms, 95),
        p99_ms=percentile(samples.latencies_ms, 99),
        per_s=searches / samples.measured_s,
        node_cpu_ms=ms_a_search(samples.node_cpu_s),
        server_cpu_ms=ms_a_search(samples.server_cpu_s),
        maker_cpu_ms=ms_a_search(samples.maker_cpu_s),
    )


def summaries(phases: Sequence[PhaseSamples]) -> list[Summary]:
    """Returns the summary of each arm, client and number of users, in the order of the phases."""
    measured = [samples for samples in phases if samples.phase.round]
    groups = dict.fromkeys((each.phase.client, each.phase.users, each.phase.arm) for each in measured)
    return [_summary(measured, client, users, arm) for client, users, arm in groups]


def _summary(measured: Sequence[PhaseSamples], client: str, users: int, arm: str) -> Summary:
    def rounds(name: str) -> dict[int, PhaseSamples]:
        return {
            each.phase.round: each
            for each in measured
            if (each.phase.client, each.phase.users, each.phase.arm) == (client, users, name)
        }

    own = rounds(arm)
    plain = {number: phase_numbers(each) for number, each in rounds(PLAIN).items()}
    numbers = {number: phase_numbers(each) for number, each in own.items()}
    outcomes: Counter[str] = Counter()
    for each in own.values():
        outcomes.update(each.outcomes)
    return Summary(
        arm=arm,
        client=client,
        users=users,
        searches=outcomes.total(),
        numbers=_medians(numbers.values()),
        added_p50_ms=_spread(numbers[n].p50_ms - plain[n].p50_ms for n in numbers),
        throughput_share=_spread(numbers[n].per_s / plain[n].per_s for n in numbers),
        added_node_cpu_ms=median(numbers[n].node_cpu_ms - plain[n].node_cpu_ms for n in numbers),
        outcomes={name: count / outcomes.total() for name, count in outcomes.most_common()},
    )


def _medians(rounds: Iterable[Numbers]) -> Numbers:
    fields = zip(*(tuple(asdict(each).values()) for each in rounds), strict=True)
    return Numbers(*(median(values) for values in fields))


def _spread(values: Iterable[float]) -> tuple[float, float, float]:
    known = sorted(values)
    return median(known), known[0], known[-1]


def write_samples(file: Path, phases: Sequence[PhaseSamples]) -> None:
    """Writes samples for `read_samples`."""
    file.write_text(json.dumps([asdict(each) for each in phases]), encoding="utf-8")


def read_samples(file: Path) -> list[PhaseSamples]:
    """Reads what `write_samples` wrote."""
    return [
        PhaseSamples(**{**fields, "phase": Phase(**fields["phase"]), "latencies_ms": tuple(fields["latencies_ms"])})
        for fields in json.loads(file.read_text(encoding="utf-8"))
    ]
