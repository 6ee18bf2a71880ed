"""When a canary is taken back: differences that matter and that chance does not explain."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from iterqr_server.checkpoints.alarms import Alarm, AlarmKind, AlarmLimits, find_alarm
from iterqr_server.checkpoints.window import MAX_CALLS, CallWindow, letter_overlap, summarize
from iterqr_server.rewrite.output_builder import Output, ScoredRewrite
from iterqr_server.rewrite.served_model import CallReport

LIMITS = AlarmLimits(min_calls=50, max_extra_errors=0.05, max_latency_ratio=2.0, max_drift=0.3)


def call(
    number: int,
    *,
    failed: bool = False,
    seconds: float = 0.1,
    rewrites: Sequence[str] | None = None,
    confidence: float = 0.8,
) -> CallReport:
    texts = (f"dish {number} bowl",) if rewrites is None else rewrites
    output = Output("f", "i", "m", tuple(ScoredRewrite(text, confidence) for text in texts))
    return CallReport(f"dish {number}", seconds, failed, None if failed else output)


def calls(count: int, **fields: object) -> list[CallReport]:
    return [call(number, **fields) for number in range(count)]  # type: ignore[arg-type]


GOOD = calls(200)


def alarm(canary: Sequence[CallReport], champion: Sequence[CallReport] = GOOD) -> Alarm | None:
    return find_alarm(summarize(canary), summarize(champion), LIMITS)


def test_the_same_raises_none() -> None:
    assert alarm(calls(200)) is None


@pytest.mark.parametrize(
    ("canary", "kind", "words"),
    [
        (calls(40) + calls(20, failed=True), AlarmKind.ERRORS, "33% of 60 calls failed, of the champion's 0%"),
        (calls(80) + calls(20, seconds=0.3), AlarmKind.LATENCY, "is 300 ms, the champion's 100 ms"),
        (calls(60, rewrites=()), AlarmKind.DRIFT, "answered is 0.00 over 60 outputs, the champion's 1.00"),
        (calls(60, confidence=0.2), AlarmKind.DRIFT, "confidence is 0.20"),
        (calls(60, rewrites=("pizza",)), AlarmKind.DRIFT, "overlap is 0.00"),
        ([call(i, rewrites=("dish bowl",)) for i in range(60)], AlarmKind.DRIFT, "variety is 0.00"),
    ],
    ids=["errors", "latency", "mute", "unsure", "off topic", "collapsed"],
)
def test_each_fault_has_its_alarm(canary: list[CallReport], kind: AlarmKind, words: str) -> None:
    found = alarm(canary)
    assert found is not None
    assert found.kind is kind
    assert words in found.reason


def test_few_calls_raise_none_and_enough_do() -> None:
    assert alarm(calls(49, failed=True)) is None
    assert alarm(calls(50, failed=True)) is not None


def test_what_ails_both_is_no_fault_of_the_canary() -> None:
    """Overload: three in ten calls of either fail, and all are slow."""
    worn = calls(140, seconds=2.0) + calls(60, failed=True)
    assert alarm(worn, worn) is None


def test_chance_is_no_alarm() -> None:
    """Both fail one call in ten: 60 calls are often over the limit by chance, which hardly ever raises an alarm."""
    draw = random.Random(7)
    over, alarms = 0, 0
    for _trial in range(300):
        champion, canary = ([call(i, failed=draw.random() < 0.1) for i in range(60)] for _ in range(2))
        over += summarize(canary).error_rate - summarize(champion).error_rate > LIMITS.max_extra_errors
        alarms += alarm(canary, champion) is not None
    assert over > 30
    assert alarms <= 3


def test_a_canary_that_is_better_raises_none() -> None:
    worse = calls(150, confidence=0.3, seconds=1.0) + calls(50, failed=True)
    assert alarm(calls(200, confidence=0.9, seconds=0.1), worse) is None


def test_without_a_champions_calls_only_errors_count() -> None:
    assert alarm(calls(60, seconds=9.0, rewrites=()), []) is None
    found = alarm(calls(50) + calls(10, failed=True), [])
    assert found is not None
    assert found.kind is AlarmKind.ERRORS


def test_letter_overlap() -> None:
    assert letter_overlap("Pad Thai", "pad thai") == 1.0
    assert letter_overlap("pho", "sushi") == 0.0
    assert letter_overlap("", "sushi") == 0.0
    # " p pa ad d " and " p pa at t ": 2 of 4 pairs each
    assert letter_overlap("pad", "pat") == 0.5
    assert letter_overlap("chiken biriyani", "chicken biryani") > 0.7


def test_the_window_forgets_by_time_and_by_number() -> None:
    window = CallWindow(window_s=10)
    for second in range(20):
        window.add(float(second), call(second, failed=second < 12))
    summary = window.summary(20.0)
    assert (summary.calls, summary.failed) == (10, 2)
    for number in range(MAX_CALLS + 5):
        window.add(21.0, call(number))
    assert window.summary(21.0).calls == MAX_CALLS


def test_the_percentile_is_of_what_succeeded() -> None:
    seconds = [i / 100 for i in range(1, 101)]
    summary = summarize([call(i, seconds=s) for i, s in enumerate(seconds)] + calls(50, failed=True, seconds=9.0))
    assert (summary.succeeded, summary.p90_seconds) == (100, 0.9)
    assert summarize([]).p90_seconds == 0.0
