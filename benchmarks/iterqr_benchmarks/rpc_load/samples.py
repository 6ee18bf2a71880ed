"""What calls came to, and the numbers made from it. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from iterqr_benchmarks.engine_comparison.results import percentile

OK = "OK"
REJECTED = "RESOURCE_EXHAUSTED"
EARLY_SHARE = 0.1
"""Of the deadline: a rejection within it leaves the caller nearly all of its time to do without."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `started_s` since the phase began; `code`: gRPC status; `repeated`: its query had been asked before;
    `server_timed`: only the server knew its deadline; `delayed_ms`: how much after its time the load maker began it,
    which is no part of the latency.
    """  # fmt: skip

    started_s: float
    latency_ms: float
    code: str
    rewrites: int
    repeated: bool
    server_timed: bool
    delayed_ms: float


@dataclass(frozen=True, slots=True)
class Load:
    """What was made of a phase. `cpu_s`: processor time of the process that made it, which the server did not have."""

    calls: tuple[Call, ...]
    cpu_s: float


@dataclass(frozen=True, slots=True)
class LatencyNumbers:
    """Percentiles in milliseconds; NaN where there is no call."""

    calls: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class LoadNumbers:
    """One phase. `goodput_per_s`: replies with rewrites a second; gRPC lets none through after the deadline.

    `late`: calls that took longer than the deadline and `late_allowance_ms`, however they ended. gRPC ends calls at
    their deadline, but for the `server_timed`: what is told of these is what the server does. `rejected_late`:
    rejections that were not early. `began_late`: how much after their time calls began; with `maker_cpu_ms_per_call` it
    tells whether the load was the one that was wanted.
    """

    duration_s: float
    offered_per_s: float
    goodput_per_s: float
    codes: dict[str, int]
    served: LatencyNumbers
    served_repeated: LatencyNumbers
    served_fresh: LatencyNumbers
    rejected: LatencyNumbers
    rejected_late: int
    late: int
    largest_lateness_ms: float
    server_timed: int
    server_timed_largest_lateness_ms: float
    began_late: LatencyNumbers
    maker_cpu_ms_per_call: float


def load_numbers(load: Load, duration_s: float, deadline_ms: float, late_allowance_ms: float) -> LoadNumbers:
    """Returns the numbers of a phase that took `duration_s`."""
    calls = load.calls
    served = [call for call in calls if call.code == OK]
    good = [call for call in served if call.rewrites]
    rejected = [call for call in calls if call.code == REJECTED]
    lateness = [call.latency_ms - deadline_ms for call in calls]
    server_timed = [call.latency_ms - deadline_ms for call in calls if call.server_timed]
    return LoadNumbers(
        duration_s=duration_s,
        offered_per_s=len(calls) / duration_s,
        goodput_per_s=len(good) / duration_s,
        codes=dict(Counter(call.code for call in calls).most_common()),
        served=latency_numbers(served),
        served_repeated=latency_numbers([call for call in served if call.repeated]),
        served_fresh=latency_numbers([call for call in served if not call.repeated]),
        rejected=latency_numbers(rejected),
        rejected_late=sum(call.latency_ms > EARLY_SHARE * deadline_ms for call in rejected),
        late=sum(value > late_allowance_ms for value in lateness),
        largest_lateness_ms=max([0.0, *lateness]),
        server_timed=len(server_timed),
        server_timed_largest_lateness_ms=max([0.0, *server_timed]),
        began_late=_distribution([call.delayed_ms for call in calls]),
        maker_cpu_ms_per_call=load.cpu_s * 1000 / len(calls) if calls else 0.0,
    )


def capacity_per_s(calls: Sequence[Call], duration_s: float, repeated_share: float) -> float:
    """Returns the arrivals a second, of which `repeated_share` repeat a query, that keep the server just busy.

    Only new queries cost generation. In a closed loop the answers from the cache and the rejections come back at once
    and are followed by the next calls, so that the loop's own rate says little.
    """
    fresh = [call for call in calls if call.code == OK and call.rewrites]
    if repeated_share < 1:
        fresh = [call for call in fresh if not call.repeated]
    return len(fresh) / duration_s / ((1 - repeated_share) or 1)


def latency_numbers(calls: Sequence[Call]) -> LatencyNumbers:
    """Returns the percentiles of some calls."""
    return _distribution([call.latency_ms for call in calls])


def _distribution(values_ms: Sequence[float]) -> LatencyNumbers:
    return LatencyNumbers(len(values_ms), *(percentile(values_ms, percent) for percent in (50, 95, 99, 100)))


@dataclass(frozen=True, slots=True)
class MemoryNumbers:
    """The server's resident memory in MiB: at the end of the warm-up, halfway from there, at the end, and the most."""

    after_warm_up_mib: float
    halfway_mib: float
    at_end_mib: float
    peak_mib: float

    @property
    def growth_mib(self) -> float:
        """How much more there was at the end than after the warm-up."""
        return self.at_end_mib - self.after_warm_up_mib

    @property
    def late_growth_mib(self) -> float:
        """How much of it came in the second half, in which a leak goes on and a cache that fills does not."""
        return self.at_end_mib - self.halfway_mib


def memory_numbers(readings: Sequence[tuple[float, float]], warm_up_s: float) -> MemoryNumbers | None:
    """Returns the numbers of readings (seconds, MiB) in order of time; None without any after `warm_up_s`."""
    warm = [mib for at_s, mib in readings if at_s >= warm_up_s]
    if not warm:
        return None
    tail = max(1, len(warm) // 10)  # single readings are noisy: means of a tenth
    half = len(warm) // 2
    peak = max(mib for _, mib in readings)
    return MemoryNumbers(fmean(warm[:tail]), fmean(warm[half : half + tail]), fmean(warm[-tail:]), peak)


def write_load(file: Path, load: Load) -> None:
    """Writes a load for `read_load`."""
    file.write_text(json.dumps(asdict(load)), encoding="utf-8")


def read_load(file: Path) -> Load:
    """Reads what `write_load` wrote."""
    fields = json.loads(file.read_text(encoding="utf-8"))
    return Load(tuple(Call(**call) for call in fields["calls"]), fields["cpu_s"])
