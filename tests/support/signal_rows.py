"""Rows of the raw tables for tests, and a world of users, retries and bots whose right answer is known."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import ibis
import pyarrow as pa
from iterqr_training.signals.filters import FilterSettings, MarkedSignals, mark
from iterqr_training.signals.tables import EVENTS, HITS, IMPRESSIONS, TableSpec

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
Row = dict[str, Any]
LIMITS = FilterSettings(max_searches_a_day=20, max_clicks_an_hour=15, min_hits_to_judge=20, max_unseen_events_a_day=5)


def at(seconds: float = 0.0, *, day: int = 0) -> datetime:
    return NOON + timedelta(days=day, seconds=seconds)


def page(impression_id: str, client_id: str, when: datetime, *, query_id: str = "") -> Row:
    return {
        "impression_id": impression_id,
        "query_id": query_id or f"q-{impression_id}",
        "timestamp": when,
        "client_id": client_id,
    }


def event(event_id: str, client_id: str, when: datetime, query_id: str, object_id: str = "o-1", **more: Any) -> Row:  # noqa: ANN401 - columns
    return {
        "event_id": event_id,
        "action": "click",
        "timestamp": when,
        "query_id": query_id,
        "client_id": client_id,
        "object_id": object_id,
        **more,
    }


@dataclass(slots=True)
class Signals:
    """Raw rows; columns that a row does not tell are "" or null."""

    impressions: list[Row] = field(default_factory=list)
    hits: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)

    def search(self, impression_id: str, client_id: str, when: datetime, shown: int = 5) -> None:
        """Adds a page of hits o-1, o-2, ..."""
        self.impressions.append(page(impression_id, client_id, when))
        self.hits += [
            {"impression_id": impression_id, "shown": True, "position": position, "object_id": f"o-{position}"}
            for position in range(1, shown + 1)
        ]

    def arrow(self) -> tuple[pa.Table, pa.Table, pa.Table]:
        """Impressions, hits and events."""
        return arrow(IMPRESSIONS, self.impressions), arrow(HITS, self.hits), arrow(EVENTS, self.events)

    def marked(self, settings: FilterSettings = LIMITS) -> MarkedSignals:
        """What the filters say, by DuckDB, computed once."""
        impressions, hits, events = (ibis.memtable(table) for table in self.arrow())
        found = mark(impressions, hits, events, settings)
        return MarkedSignals(ibis.memtable(found.impressions.to_pyarrow()), ibis.memtable(found.events.to_pyarrow()))


def arrow(spec: TableSpec, rows: Sequence[Row]) -> pa.Table:
    blank = {each.name: "" if each.type == pa.string() else None for each in spec.schema}
    return pa.Table.from_pylist([{**blank, **row} for row in rows], spec.schema)


def adverse_world(seed: int) -> Signals:
    """Users, retries, copies and bots of each kind, in no order."""
    chance = random.Random(seed)
    world = Signals()
    for user in range(20):
        for search in range(chance.randrange(1, 6)):
            name, when = f"u{user}-{search}", at(chance.randrange(80_000), day=chance.randrange(3))
            world.search(name, f"user-{user}" if user else "", when)
            for click in range(chance.randrange(3)):
                done = event(f"e-{name}-{click}", f"user-{user}" if user else "", when, f"q-{name}", f"o-{click + 1}")
                world.events.append(done)
                if chance.random() < 0.3:
                    again = when + timedelta(seconds=chance.choice([0, 0.4, 1, 1.000001, 3]))
                    world.events.append({**done, "event_id": f"{done['event_id']}-again", "timestamp": again})
                if chance.random() < 0.2:
                    world.events.append({**done, "timestamp": when + timedelta(days=1)})
    for number in range(30):
        world.search(f"s{number}", "searching-bot", at(number))
        world.search(f"c{number}", "clicking-bot", at(3_600 * (number // 18)))
        world.events.append(event(f"c{number}", "clicking-bot", at(3_600 * (number // 18)), f"q-c{number}"))
        world.events.append(event(f"x{number}", "unseen-bot", at(number * 600), f"q-nowhere-{number}"))
    for number in range(5):
        world.search(f"a{number}", "greedy-bot", at(number))
        for position in range(1, 6):
            when = at(number * 1_800 + position * 2)
            world.events.append(event(f"a{number}-{position}", "greedy-bot", when, f"q-a{number}", f"o-{position}"))
    world.impressions += world.impressions[::7]
    for rows in (world.impressions, world.hits, world.events):
        chance.shuffle(rows)
    return world
