"""Whether attribution says of the planted events what is known of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from iterqr_training.signals.attribution_check.cases import CREDITED
from iterqr_training.signals.attribution_check.channels import Observed, credit_of
from iterqr_training.signals.attribution_check.planting import Case, Credit, KnownOutcome, PlantedEvent

_PPB = 10**9
_ROUNDING_PPB = 2
"""Shares are whole billionths that add up exactly, so each may be off a little."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case, and in words what is not as it is known to be; nothing if it holds."""

    name: str
    rule: str
    events: int
    problems: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether every event was credited as known."""
        return not self.problems


def planting_problems(case: Case, observed: Sequence[Observed]) -> tuple[str, ...]:
    """Returns in words where the node does not retrieve or show what the case was planted for.

    Then nothing is proved about attribution: the index or the channel is at fault.

    Args:
        case: As planted.
        observed: Its searches.
    """
    by_query = {each.query_id: each for each in observed}
    by_event = {each.event_id: each for each in case.events}
    problems = []
    for outcome in case.outcomes:
        event = by_event[outcome.event_id]
        search = by_query.get(outcome.query_id)
        if outcome.credit is None or search is None or outcome.touch_event_id != outcome.event_id:
            continue
        found = credit_of(search.windows, event.object_id)
        if found is None or not _same(found, outcome.credit):
            problems.append(
                f"{event.object_id}: the node's own windows give {_told(found)}, not {_told(outcome.credit)}"
            )
        if event.object_id not in search.shown:
            problems.append(f"{event.object_id}: is not on the page of {search.query_id}")
    return tuple(problems)


def attribution_problems(case: Case, observed: Sequence[Observed], attributed: pa.Table) -> CaseResult:
    """Compares a case's events with what attribution says of them.

    Args:
        case: As planted.
        observed: Its searches.
        attributed: `ATTRIBUTED_EVENTS`, of at least this case's events.
    """
    rows_of: dict[str, list[Mapping[str, Any]]] = {}
    for row in attributed.to_pylist():
        rows_of.setdefault(row["event_id"], []).append(row)
    by_query = {each.query_id: each for each in observed}
    by_event = {each.event_id: each for each in case.events}
    problems: list[str] = []
    for outcome in case.outcomes:
        event = by_event[outcome.event_id]
        search = by_query.get(outcome.query_id)
        position = search.shown.index(event.object_id) + 1 if search and event.object_id in search.shown else None
        found = rows_of.get(outcome.event_id, [])
        problems += [
            f"{event.action} {event.event_id}: {each}" for each in _differences(outcome, event, position, found)
        ]
    return CaseResult(case.name, case.rule, len(case.outcomes), tuple(problems))


def _differences(
    known: KnownOutcome, event: PlantedEvent, position: int | None, rows: Sequence[Mapping[str, Any]]
) -> Iterable[str]:
    if not rows:
        yield "is not among the attributed events"
        return
    told: list[tuple[str, object]] = [("status", known.status), ("object_id", event.object_id)]
    if known.credit is not None:
        told += [
            ("touch_event_id", known.touch_event_id),
            ("query_id", known.query_id),
            ("position", position),
            ("level", known.credit.level),
            ("exclusive", known.credit.is_exclusive),
        ]
    for column, value in told:
        found = {row[column] for row in rows}
        if found != {value}:
            yield f"{column} is {_listed(found)}, not {value}"
    if known.credit is None:
        if any(row["rewrite_id"] for row in rows):
            yield f"is credited to rewrites: {_listed({row['rewrite_id'] for row in rows})}"
    elif {row["status"] for row in rows} == {CREDITED}:
        yield from _share_differences(known.credit, rows)


def _share_differences(known: Credit, rows: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    rewrites = sorted(row["rewrite_id"] for row in rows)
    if rewrites != sorted(share.rewrite_id for share in known.shares):
        yield f"is credited to {_listed(rewrites)}, not to {_listed(share.rewrite_id for share in known.shares)}"
        return
    found = {row["rewrite_id"]: row["share_ppb"] for row in rows}
    for share in known.shares:
        if abs(found[share.rewrite_id] - share.part * _PPB) > _ROUNDING_PPB:
            yield f"share of {share.rewrite_id or 'the original'} is {found[share.rewrite_id]} ppb, not {share.part}"
    if sum(found.values()) != _PPB:
        yield f"shares add up to {sum(found.values())} ppb"


def _same(one: Credit, other: Credit) -> bool:
    return one.level == other.level and set(one.shares) == set(other.shares)


def _told(credit: Credit | None) -> str:
    if credit is None:
        return "no channel"
    return f"level {credit.level} of " + _listed(
        f"{share.rewrite_id or 'original'} {share.part}" for share in credit.shares
    )


def _listed(values: Iterable[object]) -> str:
    return ", ".join(sorted(str(value) or "nobody" for value in values))
