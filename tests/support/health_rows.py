"""Small tables that signal health is told from, with one of each trouble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from iterqr_training.signals.tables import (
    ATTRIBUTED_EVENTS,
    EVENTS,
    IMPRESSIONS,
    QUERIES,
    QUERY_OUTCOMES,
    TableSpec,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATE = datetime(2026, 1, 1, 23, 59, 59, 999_000, tzinfo=UTC)
NEXT = datetime(2026, 1, 2, tzinfo=UTC)
FIRST_DAY = (NOON - datetime(1970, 1, 1, tzinfo=UTC)).days
Row = Mapping[str, Any]


@dataclass(slots=True)
class HealthRows:
    """Rows of each table; columns that are not said are "", 0 or null."""

    impressions: list[Row] = field(default_factory=list)
    queries: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    attributed_events: list[Row] = field(default_factory=list)
    query_outcomes: list[Row] = field(default_factory=list)

    def tables(self) -> dict[str, pa.Table]:
        """Arrow tables by name."""
        specs = (IMPRESSIONS, QUERIES, EVENTS, ATTRIBUTED_EVENTS, QUERY_OUTCOMES)
        return {spec.name: _table(spec, getattr(self, spec.name)) for spec in specs}


def troubled() -> HealthRows:
    """Every measure has something to count, on two days."""
    rows = HealthRows()
    for number, at in enumerate((NOON, LATE, NEXT)):
        rows.impressions.append({"impression_id": f"i{number}", "query_id": f"q{number}", "timestamp": at})
        rows.queries.append({"document_id": f"d{number}", "query_id": f"q{number}", "timestamp": at})
    rows.impressions.append({"impression_id": "i9", "query_id": "q0", "timestamp": NEXT})  # a later page
    rows.queries.append({"document_id": "d9", "query_id": "lost-1", "timestamp": NEXT})
    rows.events += [
        {"event_id": "e0", "query_id": "q0", "client_id": "c", "timestamp": NOON + timedelta(seconds=5)},
        {"event_id": "e1", "query_id": "q0", "client_id": "c", "timestamp": NOON + timedelta(seconds=5)},  # twice
        {"event_id": "e2", "query_id": "q1", "client_id": "", "timestamp": LATE - timedelta(seconds=100.25)},  # early
        {
            "event_id": "e3",
            "query_id": "q2",
            "client_id": "c",
            "timestamp": NEXT - timedelta(seconds=1),
        },  # in tolerance
        {"event_id": "e4", "query_id": "lost-2", "client_id": "c", "timestamp": NEXT},
        {"event_id": "e5", "query_id": "", "client_id": "c", "timestamp": NEXT},
    ]
    statuses = ("credited", "credited", "not_shown", "credited", "no_impression", "no_query_id")
    for event, status in zip(rows.events, statuses, strict=True):
        told = {"event_id": event["event_id"], "timestamp": event["timestamp"], "status": status}
        rows.attributed_events.append({**told, "kind": "click", "rewrite_id": "a"})
    rows.attributed_events.append({**rows.attributed_events[0], "rewrite_id": "b"})  # shared by two
    rows.attributed_events.append({"event_id": "e6", "timestamp": NOON, "kind": "touch", "status": "not_shown"})
    rows.query_outcomes += _searches("well known", 5, rewrites=1, level1_clicks=9)
    rows.query_outcomes += _searches("clicked", 2, rewrites=1, level1_clicks=1)
    rows.query_outcomes += _searches("bought", 1, rewrites=2, level1_orders=1)
    rows.query_outcomes += _searches("ignored", 1, rewrites=2)
    rows.query_outcomes += _searches("never rewritten", 1, level1_clicks=5)
    return rows


def _searches(query: str, times: int, **counts: int) -> Sequence[Row]:
    return [
        {"query_id": f"{query}-{each}", "normalized_query": query, "timestamp": NOON, **counts} for each in range(times)
    ]


def _table(spec: TableSpec, rows: Sequence[Row]) -> pa.Table:
    empty: dict[str, object] = {}
    for column in spec.schema:
        if pa.types.is_string(column.type):
            empty[column.name] = ""
        elif pa.types.is_int64(column.type):
            empty[column.name] = 0
        else:
            empty[column.name] = None
    return pa.Table.from_pylist([{**empty, **row} for row in rows], schema=spec.schema)
