"""Counts that tell of the signals' health: Ibis expressions, the same on DuckDB and on Spark.

Days are whole days since 1970 in UTC, from seconds since then: what an engine calls a date depends on its time zone.
All counts are integers, so the order of rows changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import ibis
import ibis.expr.types as ir

from iterqr_training.signals.health.settings import HealthSettings

_DAY_S = 86_400
NO_DAY = -1
"""Of counts that are not of one day."""

ORPHAN_REASONS = ("no_query_id", "no_impression", "not_shown", "other_client", "no_touch")
ORPHANS = "orphans"


@dataclass(frozen=True, slots=True)
class Signals:
    """The tables that health is told from, of `signals/tables.py`."""

    impressions: ir.Table
    queries: ir.Table
    events: ir.Table
    attributed_events: ir.Table
    query_outcomes: ir.Table


def health_counts(signals: Signals, settings: HealthSettings) -> ir.Table:
    """Returns measure, day (`NO_DAY` where it is of all days), part, whole; a measure's days can be added up.

    Measures are the bounds of `HealthSettings` by name, and `orphans` once more for each reason.
    """
    counts = [
        _with_impression(signals),
        *_orphans(signals.attributed_events),
        _without_client(signals.events),
        *_early(signals, settings.early_tolerance_s),
        _duplicates(signals.events),
        *_tail(signals.query_outcomes, settings),
    ]
    return reduce(lambda one, other: one.union(other), counts)


def _with_impression(signals: Signals) -> ir.Table:
    """Searches by query id, each on the day on which it is first told of."""
    told = [
        table.filter(table.query_id != "").select("query_id", day=_day(table.timestamp))
        for table in (signals.queries, signals.events, signals.impressions)
    ]
    union = reduce(lambda one, other: one.union(other), told)
    searches = union.group_by("query_id").agg(day=union.day.min())
    pages = signals.impressions.select(page_query_id="query_id").distinct()
    joined = searches.left_join(pages, searches.query_id == pages.page_query_id)
    return _counted("with_impression", joined, joined.page_query_id.notnull())


def _orphans(attributed: ir.Table) -> list[ir.Table]:
    counted = attributed.filter(attributed.kind != "touch")
    events = counted.select("event_id", "status", day=_day(counted.timestamp)).distinct()
    reasons = [_counted(f"{ORPHANS}.{each}", events, events.status == each) for each in ORPHAN_REASONS]
    return [_counted(ORPHANS, events, events.status != "credited"), *reasons]


def _without_client(events: ir.Table) -> ir.Table:
    dated = events.select("client_id", day=_day(events.timestamp))
    return _counted("without_client", dated, dated.client_id == "")


def _early(signals: Signals, tolerance_s: int) -> list[ir.Table]:
    """Events against the first page of their search: nobody clicks on what is not there yet, but clocks differ."""
    pages = signals.impressions.filter(signals.impressions.query_id != "")
    first = pages.group_by(page_query_id=pages.query_id).agg(page_s=_second(pages.timestamp).min())
    events = signals.events.select(
        "query_id", day=_day(signals.events.timestamp), event_s=_second(signals.events.timestamp)
    )
    joined = events.inner_join(first, events.query_id == first.page_query_id)
    led = joined.select("day", lead_s=ibis.greatest(joined.page_s - joined.event_s, 0))
    early = led.lead_s > tolerance_s
    return [_counted("early", led, early), _summed("lead_s", led, ibis.ifelse(early, led.lead_s, 0))]


def _duplicates(events: ir.Table) -> ir.Table:
    """Events that are alike in all but their id: sent twice, not done twice."""
    alike = events.mutate(day=_day(events.timestamp))
    groups = alike.group_by(
        "action", "timestamp", "query_id", "client_id", "session_id", "application", "object_id", "position", "day"
    ).agg(copies=alike.event_id.count())
    copies = groups.group_by("day").agg(part=(groups.copies - 1).sum(), whole=groups.copies.sum())
    return _named("duplicates", copies)


def _tail(outcomes: ir.Table, settings: HealthSettings) -> list[ir.Table]:
    queries = outcomes.group_by("region", "normalized_query").agg(
        searches=outcomes.query_id.count(),
        rewrites=outcomes.rewrites.max(),
        clicks=outcomes.level1_clicks.sum(),
        orders=outcomes.level1_orders.sum(),
    )
    tail = queries.filter(queries.searches <= settings.tail_searches, queries.rewrites > 0)
    labelled = (tail.clicks >= settings.level1_clicks_needed) | (tail.orders >= settings.level1_orders_needed)
    undated = tail.mutate(day=ibis.literal(NO_DAY, "int64"), labelled=labelled)
    needed = undated.clicks.count() * settings.level1_clicks_needed
    volume = undated.group_by("day").agg(part=undated.clicks.sum(), whole=needed)
    return [_counted("labelled_tail", undated, undated.labelled), _named("level1_volume", volume)]


def _second(time: ir.TimestampValue) -> ir.IntegerValue:
    """Whole seconds: DuckDB's have a fraction, whatever Ibis says of their type."""
    return time.epoch_seconds() // 1


def _day(time: ir.TimestampValue) -> ir.IntegerValue:
    return (time.epoch_seconds() // _DAY_S).cast("int64")


def _counted(measure: str, table: ir.Table, holds: ir.BooleanValue) -> ir.Table:
    return _summed(measure, table, ibis.ifelse(holds, 1, 0))


def _summed(measure: str, table: ir.Table, amount: ir.IntegerValue) -> ir.Table:
    told = table.select("day", amount=amount)
    return _named(measure, told.group_by("day").agg(part=told.amount.sum(), whole=told.amount.count()))


def _named(measure: str, counts: ir.Table) -> ir.Table:
    return counts.select(
        measure=ibis.literal(measure, "string"),
        day=counts.day.cast("int64"),
        part=counts.part.cast("int64"),
        whole=counts.whole.cast("int64"),
    )
