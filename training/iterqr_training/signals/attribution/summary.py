"""What attribution came to, in few numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ibis.expr.types as ir


@dataclass(frozen=True, slots=True)
class EventCount:
    """How many events came out alike. `level` is None where nobody was credited."""

    kind: str
    status: str
    level: int | None
    events: int


def count_events(attributed: ir.Table) -> Sequence[EventCount]:
    """Counts the events of `ATTRIBUTED_EVENTS`, the most credited kinds first."""
    counted = attributed.group_by("kind", "status", "level").agg(events=attributed.event_id.nunique())
    counts = [EventCount(**row) for row in counted.to_pyarrow().to_pylist()]
    return sorted(counts, key=lambda each: (each.kind, each.status != "credited", each.status, each.level or 0))
