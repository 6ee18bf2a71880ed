"""When a canary is taken back. Pure: summaries of two windows in, an alarm or none out.

An alarm needs a difference that matters (the limit) and that chance does not explain (`_SURE` standard errors): a
canary starts with few calls, and is compared with the champion of the same minutes, so that what ails both, such as
overload, is no fault of the canary's.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, fields

from iterqr_server.checkpoints.window import OutputSamples, Sample, WindowSummary

_SURE = 3.0


class AlarmKind(enum.Enum):
    """What is wrong."""

    ERRORS = "errors"
    LATENCY = "latency"
    DRIFT = "drift"
    ENGINE = "engine"  # it broke; needs no statistics


@dataclass(frozen=True, slots=True)
class Alarm:
    """Why a canary is taken back; `reason` is for people."""

    kind: AlarmKind
    reason: str


@dataclass(frozen=True, slots=True)
class AlarmLimits:
    """How much worse than the champion a canary may be.

    `min_calls`: of each model before they are compared. `max_extra_errors`: in its error rate. `max_latency_ratio`: of
    the 90th percentiles. `max_drift`: by which the mean of an output's feature may be lower (`OutputSamples`).
    """

    min_calls: int
    max_extra_errors: float
    max_latency_ratio: float
    max_drift: float


def find_alarm(canary: WindowSummary, champion: WindowSummary, limits: AlarmLimits) -> Alarm | None:
    """Returns the first alarm of errors, latency and drift, if any.

    Without enough calls of the champion, as when the canary has all traffic, only errors are judged, against none.
    """
    if canary.calls < limits.min_calls:
        return None
    if champion.calls < limits.min_calls:
        return _too_many_errors(canary, 0, 0, limits)
    return (
        _too_many_errors(canary, champion.calls, champion.failed, limits)
        or _too_slow(canary, champion, limits)
        or _drifted(canary.outputs, champion.outputs, limits)
    )


def _too_many_errors(canary: WindowSummary, calls: int, failed: int, limits: AlarmLimits) -> Alarm | None:
    """`calls` and `failed` are the champion's; without calls its error rate is taken to be 0."""
    usual = failed / calls if calls else 0.0
    extra = canary.error_rate - usual
    if extra <= limits.max_extra_errors:
        return None
    pooled = (canary.failed + failed) / (canary.calls + calls)
    error = math.sqrt(pooled * (1 - pooled) * (1 / canary.calls + (1 / calls if calls else 0.0)))
    if extra < _SURE * error:
        return None
    return Alarm(
        AlarmKind.ERRORS,
        f"{canary.error_rate:.0%} of {canary.calls} calls failed, of the champion's {usual:.0%}; "
        f"the limit is {limits.max_extra_errors:.0%} more",
    )


def _too_slow(canary: WindowSummary, champion: WindowSummary, limits: AlarmLimits) -> Alarm | None:
    if min(canary.succeeded, champion.succeeded) < limits.min_calls:
        return None
    if canary.p90_seconds <= limits.max_latency_ratio * champion.p90_seconds:
        return None
    return Alarm(
        AlarmKind.LATENCY,
        f"the 90th percentile of {canary.succeeded} calls is {canary.p90_seconds * 1000:.0f} ms, the champion's "
        f"{champion.p90_seconds * 1000:.0f} ms; the limit is {limits.max_latency_ratio:g} times that",
    )


def _drifted(canary: OutputSamples, champion: OutputSamples, limits: AlarmLimits) -> Alarm | None:
    for field in fields(OutputSamples):
        has, usual = getattr(canary, field.name), getattr(champion, field.name)
        if min(has.count, usual.count) >= limits.min_calls and _is_lower(has, usual, limits.max_drift):
            return Alarm(
                AlarmKind.DRIFT,
                f"{field.name} is {has.mean:.2f} over {has.count} outputs, the champion's {usual.mean:.2f}; "
                f"the limit is {limits.max_drift:g} less",
            )
    return None


def _is_lower(has: Sample, usual: Sample, limit: float) -> bool:
    error = math.sqrt(has.variance / has.count + usual.variance / usual.count)
    return usual.mean - has.mean > limit and usual.mean - has.mean >= _SURE * error
