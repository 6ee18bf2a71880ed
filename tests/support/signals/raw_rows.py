"""Pages and events made by hand, written as the raw tables that collection writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from iterqr_training.signals import tables
from iterqr_training.signals.raw_files import RawFiles
from iterqr_training.signals.tables import TableSpec

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Hit:
    """One hit. `original`: its rank in the original's window; `rewrites`: rank by rewrite; `tags`: other channels."""

    object_id: str
    position: int
    original: int | None = None
    rewrites: Mapping[str, int | None] = field(default_factory=dict)
    tags: Sequence[tuple[str, str, int | None]] = ()
    shown: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """One impression at `at_s` seconds after the start. `texts`: of its rewrites, by id."""

    impression_id: str
    query_id: str = "q"
    client_id: str = "ann"
    at_s: float = 0
    query: str = "pad tai"
    region: str = "north"
    bucket: str = "treatment"
    checkpoint_id: str = "m1"
    outcome: str = "fused"
    texts: Mapping[str, str] = field(default_factory=dict)
    hits: Sequence[Hit] = ()
    application: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One event at `at_s` seconds after the start."""

    event_id: str
    action: str = "click"
    query_id: str = "q"
    object_id: str = "a"
    client_id: str = "ann"
    at_s: float = 60
    position: int | None = None
    value: float | None = None
    application: str = ""


@dataclass(frozen=True, slots=True)
class Signals:
    """Everything that was logged."""

    pages: Sequence[Page] = ()
    events: Sequence[Event] = ()

    def with_prefix(self, prefix: str) -> Signals:
        """The same beside others: no id, client, object or query of it is any other's."""

        def own(text: str) -> str:
            return f"{prefix}{text}" if text else ""

        return Signals(
            tuple(
                Page(
                    own(page.impression_id),
                    own(page.query_id),
                    own(page.client_id),
                    page.at_s,
                    own(page.query),
                    page.region,
                    page.bucket,
                    own(page.checkpoint_id),
                    page.outcome,
                    page.texts,
                    tuple(
                        Hit(own(hit.object_id), hit.position, hit.original, hit.rewrites, hit.tags, hit.shown)
                        for hit in page.hits
                    ),
                )
                for page in self.pages
            ),
            tuple(
                Event(
                    own(event.event_id),
                    event.action,
                    own(event.query_id),
                    own(event.object_id),
                    own(event.client_id),
                    event.at_s,
                    event.position,
                    event.value,
                )
                for event in self.events
            ),
        )


def write_raw(signals: Signals, folder: Path) -> RawFiles:
    """Writes a file for each raw table that has rows."""
    rows = {
        tables.IMPRESSIONS: [_impression(page) for page in signals.pages],
        tables.REWRITES: [row for page in signals.pages for row in _rewrites(page)],
        tables.HITS: [row for page in signals.pages for row in _hits(page)],
        tables.HIT_CHANNELS: [row for page in signals.pages for hit in page.hits for row in _channels(page, hit)],
        tables.EVENTS: [_event(event) for event in signals.events],
    }
    return RawFiles({spec.name: _written(spec, each, folder) for spec, each in rows.items()})


def _written(spec: TableSpec, rows: Sequence[dict[str, Any]], folder: Path) -> tuple[Path, ...]:
    if not rows:
        return ()
    file = folder / spec.name / "part.parquet"
    file.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=spec.schema), file)
    return (file,)


def _time(at_s: float) -> datetime:
    return START + timedelta(seconds=at_s)


def _impression(page: Page) -> dict[str, Any]:
    return {
        "impression_id": page.impression_id,
        "query_id": page.query_id,
        "timestamp": _time(page.at_s),
        "user_query": page.query,
        "normalized_query": page.query,
        "client_id": page.client_id,
        "application": page.application,
        "region": page.region,
        "experiment": "",
        "bucket": page.bucket,
        "outcome": page.outcome,
        "mode": "fuse",
        "strategy": "rrf",
        "window_size": 100,
        "checkpoint_id": page.checkpoint_id,
    }


def _rewrites(page: Page) -> Iterable[dict[str, Any]]:
    for ordinal, (rewrite_id, text) in enumerate(page.texts.items(), start=1):
        yield {
            "impression_id": page.impression_id,
            "ordinal": ordinal,
            "rewrite_id": rewrite_id,
            "text": text,
            "confidence": 0.5,
            "source": "generated",
        }


def _hits(page: Page) -> Iterable[dict[str, Any]]:
    for hit in page.hits:
        yield {
            "impression_id": page.impression_id,
            "shown": hit.shown,
            "position": hit.position,
            "object_id": hit.object_id,
            "index": "dishes",
        }


def _channels(page: Page, hit: Hit) -> Iterable[dict[str, Any]]:
    found: list[tuple[str, str, int | None]] = [] if hit.original is None else [("original", "", hit.original)]
    found += [("rewrite", rewrite_id, rank) for rewrite_id, rank in hit.rewrites.items()]
    for channel, rewrite_id, rank in (*found, *hit.tags):
        yield {
            "impression_id": page.impression_id,
            "shown": hit.shown,
            "position": hit.position,
            "channel": channel,
            "rewrite_id": rewrite_id,
            "rank": rank,
            "team": "",
        }


def _event(event: Event) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "action": event.action,
        "timestamp": _time(event.at_s),
        "query_id": event.query_id,
        "client_id": event.client_id,
        "session_id": "",
        "application": event.application,
        "object_id": event.object_id,
        "position": event.position,
        "value": event.value,
    }
