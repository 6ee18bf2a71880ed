"""What really happened, as Parquet: one folder a segment, each written whole.

segments/00012/searches.parquet   every search, who made it and for which need
               shown.parquet      every hit shown, and whether it satisfied
               actions.parquet    what users and bots truly did
               events.parquet     what was sent of it, and which adversity touched it
               orders.parquet     every order with the search and the click that led to it
               pending.parquet    events that arrive after the segment; sent in a later one
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from iterqr_benchmarks.marketplace.clicks import Click
from iterqr_benchmarks.marketplace.events import Delivery, UserEvent, event_id
from iterqr_benchmarks.marketplace.play import Played, SearchRecord

Table = Literal["searches", "shown", "actions", "events", "orders"]
TABLES: tuple[Table, ...] = ("searches", "shown", "actions", "events", "orders")
_PENDING = "pending"
_TIME = pa.timestamp("us", tz="UTC")


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in columns.items()])


_DELIVERIES = _schema(
    document_id=pa.string(),
    event_id=pa.string(),  # of the true action
    action=pa.string(),
    query_id=pa.string(),  # as sent; "" where it was left out
    client_id=pa.string(),  # as sent, not hashed; "" where it was left out
    session_id=pa.string(),
    timestamp=_TIME,  # by the client's clock
    object_id=pa.string(),
    position=pa.int32(),
    price=pa.float64(),
    arrives=_TIME,
    touched=pa.string(),  # names of adversities, joined by commas
)
SCHEMAS: Mapping[str, pa.Schema] = {
    "searches": _schema(
        query_id=pa.string(),
        segment=pa.int32(),  # hour of the run, from 0
        time=_TIME,
        user=pa.int32(),
        client_id=pa.string(),  # true, not hashed
        tells_client=pa.bool_(),
        session=pa.int32(),  # with step and attempt: what pairs two arms
        step=pa.int32(),
        attempt=pa.int32(),  # 0 is the first search for the need
        session_id=pa.string(),
        bot=pa.string(),
        region=pa.string(),
        text=pa.string(),
        need_id=pa.string(),
        need_kind=pa.string(),
        phrase_kind=pa.string(),
        band=pa.string(),
        share=pa.float64(),  # of the region's searches, tastes apart
        outcome=pa.string(),
        source=pa.string(),
        bucket=pa.string(),
        rewrites=pa.int32(),
        shown=pa.int32(),
        satisfying_shown=pa.int32(),
        satisfying=pa.int32(),  # dishes of the region
        clicks=pa.int32(),
        ordered=pa.bool_(),
        retries=pa.bool_(),
    ),
    "shown": _schema(query_id=pa.string(), position=pa.int32(), object_id=pa.string(), satisfies=pa.bool_()),
    "actions": _schema(
        event_id=pa.string(),
        action=pa.string(),
        query_id=pa.string(),
        client_id=pa.string(),
        session_id=pa.string(),
        time=_TIME,
        object_id=pa.string(),
        position=pa.int32(),
        price=pa.float64(),
    ),
    "events": _DELIVERIES,
    _PENDING: _DELIVERIES,
    "orders": _schema(
        order_id=pa.string(),  # the purchase's event id
        query_id=pa.string(),
        click_id=pa.string(),  # the click's event id
        object_id=pa.string(),
        position=pa.int32(),
        user=pa.int32(),
        client_id=pa.string(),
        bot=pa.string(),
        time=_TIME,
        value=pa.float64(),
    ),
}


@dataclass(frozen=True, slots=True)
class SegmentContents:
    """All of one segment. `sent`: in the order sent. `pending`: what is still to come."""

    number: int
    played: Sequence[Played]
    sent: Sequence[Delivery]
    pending: Sequence[Delivery]


class Ledger:
    """The ledger of a run's folder. Written by one process at a time; may be read meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "segments"

    def write(self, run: str, segment: SegmentContents) -> None:
        """Writes a segment whole; one of the same number, of a start that was cut, is replaced."""
        folder = self._of(segment.number)
        partial = folder.with_suffix(".partial")
        for old in (partial, folder):
            shutil.rmtree(old, ignore_errors=True)
        partial.mkdir(parents=True)
        for name, rows in _rows(run, segment).items():
            pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMAS[name]), partial / f"{name}.parquet")
        partial.rename(folder)

    def drop_from(self, number: int) -> None:
        """Deletes segments that were written but never counted as done, from one on."""
        for segment in self._numbers():
            if segment >= number:
                shutil.rmtree(self._of(segment))

    def read(self, table: Table) -> pa.Table:
        """Returns one table of all segments, in order; see `SCHEMAS`."""
        return self._read(table, self._numbers())

    def pending(self) -> tuple[Delivery, ...]:
        """Returns the events that had not arrived when the last segment ended."""
        rows = self._read(_PENDING, self._numbers()[-1:]).to_pylist()
        return tuple(_delivery(row) for row in rows)

    def _read(self, name: str, numbers: Iterable[int]) -> pa.Table:
        tables = [pq.read_table(self._of(number) / f"{name}.parquet", schema=SCHEMAS[name]) for number in numbers]
        return pa.concat_tables(tables) if tables else SCHEMAS[name].empty_table()

    def _of(self, number: int) -> Path:
        return self._folder / f"{number:05d}"

    def _numbers(self) -> list[int]:
        if not self._folder.is_dir():
            return []
        return sorted(int(each.name) for each in self._folder.iterdir() if each.name.isdecimal())


def _rows(run: str, segment: SegmentContents) -> dict[str, list[dict[str, Any]]]:
    searches = [record for played in segment.played for record in played.searches]
    actions = [event for played in segment.played for event in played.events]
    times = {event.event_id: event for event in actions}
    return {
        "searches": [_search_row(segment.number, record) for record in searches],
        "shown": [
            {
                "query_id": record.request.query_id,
                "position": position,
                "object_id": object_id,
                "satisfies": record.satisfies(object_id),
            }
            for record in searches
            for position, object_id in enumerate(record.page.object_ids, start=1)
        ],
        "actions": [{field.name: getattr(event, field.name) for field in fields(event)} for event in actions],
        "events": [_delivery_row(each) for each in segment.sent],
        _PENDING: [_delivery_row(each) for each in segment.pending],
        "orders": [
            _order_row(run, record, record.visit.ordered, times)
            for record in searches
            if record.visit.ordered is not None
        ],
    }


def _search_row(segment: int, record: SearchRecord) -> dict[str, Any]:
    wording, page, session = record.wording, record.page, record.session
    return {
        "query_id": record.request.query_id,
        "segment": segment,
        "time": record.request.time,
        "user": session.user.number,
        "client_id": record.client_id,
        "tells_client": bool(record.request.client_id),
        "session": session.number,
        "step": record.step,
        "attempt": record.attempt,
        "session_id": record.session_id,
        "bot": session.bot,
        "region": record.request.region,
        "text": record.request.text,
        "need_id": wording.need.need_id,
        "need_kind": wording.need.kind,
        "phrase_kind": wording.phrase.kind,
        "band": wording.band,
        "share": wording.share,
        "outcome": page.outcome,
        "source": page.source,
        "bucket": page.bucket,
        "rewrites": page.rewrites,
        "shown": len(page.object_ids),
        "satisfying_shown": sum(map(record.satisfies, page.object_ids)),
        "satisfying": len(record.satisfying),
        "clicks": len(record.visit.clicks),
        "ordered": record.visit.ordered is not None,
        "retries": record.visit.retries,
    }


def _order_row(run: str, record: SearchRecord, click: Click, events: Mapping[str, UserEvent]) -> dict[str, Any]:
    query_id = record.request.query_id
    purchase = events[event_id(run, query_id, "purchase", click.object_id)]
    return {
        "order_id": purchase.event_id,
        "query_id": query_id,
        "click_id": event_id(run, query_id, "click", click.object_id),
        "object_id": click.object_id,
        "position": click.position,
        "user": record.session.user.number,
        "client_id": record.client_id,
        "bot": record.session.bot,
        "time": purchase.time,
        "value": purchase.price,
    }


def _delivery_row(delivery: Delivery) -> dict[str, Any]:
    row = {field.name: getattr(delivery, field.name) for field in fields(delivery)}
    return {**row, "touched": ",".join(delivery.touched)}


def _delivery(row: Mapping[str, Any]) -> Delivery:
    touched = tuple(name for name in row["touched"].split(",") if name)
    return Delivery(**{**row, "touched": touched})
