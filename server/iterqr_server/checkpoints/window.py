"""The latest calls of one model: what alarms are read from."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from iterqr_server.rewrite.served_model import CallReport

MAX_CALLS = 1_000


@dataclass(frozen=True, slots=True)
class Sample:
    """Mean and variance of what was seen `count` times; zeros if never."""

    count: int
    mean: float
    variance: float


@dataclass(frozen=True, slots=True)
class OutputSamples:
    """What a model's outputs were like; every value is 0 to 1, and the higher the better.

    `answered`: some rewrite at all. `confidence`: mean of the rewrites'. `overlap`: mean share of letter pairs that the
    rewrite and the query have in common. `variety`: the rewrites that were not another query's in the window.
    """

    answered: Sample
    confidence: Sample
    overlap: Sample
    variety: Sample


@dataclass(frozen=True, slots=True)
class WindowSummary:
    """Calls that were not answered from the cache. `p90_seconds` is over those that succeeded; 0 if none did."""

    calls: int
    failed: int
    succeeded: int
    p90_seconds: float
    outputs: OutputSamples

    @property
    def error_rate(self) -> float:
        """Share of failed calls."""
        return self.failed / self.calls if self.calls else 0.0


class CallWindow:
    """At most `MAX_CALLS` calls, none older than `window_s`."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._calls: deque[tuple[float, CallReport]] = deque(maxlen=MAX_CALLS)

    def add(self, now: float, call: CallReport) -> None:
        """Takes the next call; `now` never falls."""
        self._calls.append((now, call))

    def summary(self, now: float) -> WindowSummary:
        """Returns the present window's summary."""
        while self._calls and self._calls[0][0] < now - self._window_s:
            self._calls.popleft()
        return summarize([call for _at, call in self._calls])


def summarize(calls: Sequence[CallReport]) -> WindowSummary:
    """Returns the summary of these calls."""
    seconds = sorted(call.seconds for call in calls if not call.failed)
    return WindowSummary(
        calls=len(calls),
        failed=sum(call.failed for call in calls),
        succeeded=len(seconds),
        p90_seconds=seconds[math.ceil(0.9 * len(seconds)) - 1] if seconds else 0.0,
        outputs=_output_samples(calls),
    )


def letter_overlap(first: str, second: str) -> float:
    """Returns the Dice coefficient of two texts' letter pairs within words, 0 to 1."""
    one, other = _pairs(first), _pairs(second)
    total = one.total() + other.total()
    return 2 * (one & other).total() / total if total else 0.0


def _pairs(text: str) -> Counter[str]:
    return Counter(f" {word} "[i : i + 2] for word in text.casefold().split() for i in range(len(word) + 1))


def _output_samples(calls: Iterable[CallReport]) -> OutputSamples:
    outputs = [(call.query, call.output) for call in calls if call.output is not None]
    asked_by: dict[str, set[str]] = {}
    for query, output in outputs:
        for rewrite in output.rewrites:
            asked_by.setdefault(rewrite.text.casefold(), set()).add(query)
    rewrites = [(query, rewrite) for query, output in outputs for rewrite in output.rewrites]
    return OutputSamples(
        answered=_sample([float(bool(output.rewrites)) for _query, output in outputs]),
        confidence=_sample([rewrite.confidence for _query, rewrite in rewrites]),
        overlap=_sample([letter_overlap(query, rewrite.text) for query, rewrite in rewrites]),
        variety=_sample([float(len(asked_by[rewrite.text.casefold()]) == 1) for _query, rewrite in rewrites]),
    )


def _sample(values: Sequence[float]) -> Sample:
    if not values:
        return Sample(0, 0.0, 0.0)
    mean = sum(values) / len(values)
    return Sample(len(values), mean, sum((value - mean) ** 2 for value in values) / len(values))
