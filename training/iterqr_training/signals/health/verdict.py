"""Counts held against their bounds; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

from iterqr_training.signals.health.counts import NO_DAY, ORPHAN_REASONS, ORPHANS
from iterqr_training.signals.health.settings import Bound, HealthSettings

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class State(Enum):
    """How a measure stands."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Count:
    """A row of `health_counts`."""

    measure: str
    day: int
    part: int
    whole: int


@dataclass(frozen=True, slots=True)
class DayValue:
    """A measure on one day (ISO date, UTC). `value` is part over whole; None of nothing."""

    day: str
    part: int
    whole: int
    value: float | None
    state: State


@dataclass(frozen=True, slots=True)
class Finding:
    """A measure over all days, in words, and by day where it has days."""

    measure: str
    part: int
    whole: int
    value: float | None
    bound: Bound
    state: State
    words: str
    days: tuple[DayValue, ...]


def findings(counts: Sequence[Count], settings: HealthSettings) -> tuple[Finding, ...]:
    """Judges every measure, also one of which nothing was counted."""
    by_measure: dict[str, list[Count]] = {}
    for count in counts:
        by_measure.setdefault(count.measure, []).append(count)
    return tuple(
        _finding(measure, by_measure.get(measure, ()), _bound(measure, settings), words)
        for measure, words in _words(settings).items()
    )


def worst(found: Sequence[Finding]) -> State:
    """Returns the state of all together."""
    states = {each.state for each in found}
    return next((each for each in (State.FAIL, State.WARN) if each in states), State.OK)


def state_of(value: float | None, bound: Bound) -> State:
    """Returns how a value stands. Without one, a lower bound is not reached, and an upper one not shown to hold."""
    if value is None:
        return State.FAIL if bound.is_least else State.WARN
    if (value < bound.fail) if bound.is_least else (value > bound.fail):
        return State.FAIL
    if (value < bound.warn) if bound.is_least else (value > bound.warn):
        return State.WARN
    return State.OK


def _finding(measure: str, counts: Sequence[Count], bound: Bound, words: str) -> Finding:
    part, whole = sum(each.part for each in counts), sum(each.whole for each in counts)
    value = _value(part, whole)
    told = words.format(part=f"{part:,}", whole=f"{whole:,}") if whole else "nothing to tell it by"
    dated = sorted((each for each in counts if each.day != NO_DAY), key=lambda each: each.day)
    return Finding(
        measure, part, whole, value, bound, state_of(value, bound), told, tuple(_day(each, bound) for each in dated)
    )


def _day(count: Count, bound: Bound) -> DayValue:
    value = _value(count.part, count.whole)
    day = (_EPOCH + timedelta(days=count.day)).date().isoformat()
    return DayValue(day, count.part, count.whole, value, state_of(value, bound))


def _value(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _bound(measure: str, settings: HealthSettings) -> Bound:
    bound: Bound = getattr(settings, measure.split(".", maxsplit=1)[0])
    return bound


def _words(settings: HealthSettings) -> Mapping[str, str]:
    clicks, orders = settings.level1_clicks_needed, settings.level1_orders_needed
    tail = f"rewritten tail queries (searched {settings.tail_searches} times at most)"
    reasons = {
        "no_query_id": "name no search",
        "no_impression": "name a search without impression",
        "not_shown": "are of an object that their search did not show",
        "other_client": "are of another client than their search",
        "no_touch": "are purchases without a click before them in time",
    }
    return {
        "labelled_tail": f"{{part}} of {{whole}} {tail} have {clicks} level-1 clicks or {orders} level-1 orders",
        "level1_volume": f"{{part}} level-1 clicks on {tail}, where {{whole}} would label all of them",
        "with_impression": "{part} of {whole} searches, told by queries and events, have an impression",
        ORPHANS: "{part} of {whole} clicks and purchases are credited to nobody",
        **{f"{ORPHANS}.{each}": f"{{part}} of {{whole}} {reasons[each]}" for each in ORPHAN_REASONS},
        "without_client": "{part} of {whole} events have no client id",
        "early": f"{{part}} of {{whole}} events are over {settings.early_tolerance_s} s before their page (clocks)",
        "lead_s": "{part} s before their page, of {whole} events together",
        "duplicates": "{part} of {whole} events say the same as another",
    }
