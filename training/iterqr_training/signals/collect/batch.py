"""What is read between two commits: documents become rows, and rows the tables of a commit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter

import pyarrow as pa

from iterqr_training.signals.collect import impression_documents, ubi_documents
from iterqr_training.signals.collect.client_ids import ClientIdHasher
from iterqr_training.signals.collect.fields import MalformedDocumentError, Reason
from iterqr_training.signals.collect.known_ids import Arrival
from iterqr_training.signals.collect.node import Document, Page, ShardStatus
from iterqr_training.signals.collect.rows import EventRow, ImpressionRows, QueryRow, RejectRow
from iterqr_training.signals.collect.times import date_of
from iterqr_training.signals.store.partitions import DatedRows
from iterqr_training.signals.store.state import ShardId, Watermark
from iterqr_training.signals.tables import (
    EVENTS,
    HIT_CHANNELS,
    HITS,
    IMPRESSIONS,
    QUERIES,
    REJECTS,
    REWRITES,
    TableSpec,
)


class Source(StrEnum):
    """What is collected from; the values are the names that the tables have for it."""

    IMPRESSIONS = "iterqr-impressions"
    QUERIES = "ubi_queries"
    EVENTS = "ubi_events"

    @property
    def table(self) -> TableSpec:
        """The table with one row a document."""
        return {Source.IMPRESSIONS: IMPRESSIONS, Source.QUERIES: QUERIES, Source.EVENTS: EVENTS}[self]

    @property
    def fields(self) -> Sequence[str]:
        """What of its documents is read."""
        return {
            Source.IMPRESSIONS: impression_documents.FIELDS,
            Source.QUERIES: ubi_documents.QUERY_FIELDS,
            Source.EVENTS: ubi_documents.EVENT_FIELDS,
        }[self]


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """A document that could be read. `client_id_lost`: it had a client id, and there was no key to hash it."""

    arrival: Arrival
    rows: ImpressionRows | QueryRow | EventRow
    client_id_lost: bool = False


class Batch:
    """Pages since the last commit, of any sources and shards."""

    def __init__(self, hasher: ClientIdHasher) -> None:
        self._hasher = hasher
        self._read: dict[Source, list[ReadDocument]] = {source: [] for source in Source}
        self._rejects: list[RejectRow] = []
        self._watermarks: dict[ShardId, Watermark] = {}
        self.documents = 0

    @property
    def watermarks(self) -> list[Watermark]:
        """Up to where its shards were seen with it."""
        return list(self._watermarks.values())

    @property
    def rejects(self) -> Sequence[RejectRow]:
        """The documents that could not be read."""
        return self._rejects

    def read(self, source: Source) -> Sequence[ReadDocument]:
        """The documents of a source that could be read, in the order they came."""
        return self._read[source]

    def add(self, source: Source, status: ShardStatus, page: Page, now_us: int) -> None:
        """Takes a page of a shard; called in the order of its operations."""
        for document in page.documents:
            try:
                self._read[source].append(_read_document(source, document, self._hasher))
            except MalformedDocumentError as error:
                self._rejects.append(_reject(source, status, document, error, now_us))
        self.documents += len(page.documents)
        self._watermarks[status.shard] = Watermark(status.shard, status.index, page.seen)


def first_of_each(documents: Iterable[ReadDocument], known: set[str]) -> list[ReadDocument]:
    """Those whose ids are new: the first of each id, as what was collected stays as it is."""
    seen = set(known)
    fresh = []
    for document in documents:
        if document.arrival.document_id not in seen:
            seen.add(document.arrival.document_id)
            fresh.append(document)
    return fresh


def dated_rows(documents: Iterable[ReadDocument]) -> Iterator[DatedRows]:
    """The rows of documents of one source by table and date; those below an impression have its date."""
    by_date: dict[str, list[ReadDocument]] = {}
    for document in documents:
        by_date.setdefault(document.arrival.date, []).append(document)
    for date, of_date in sorted(by_date.items()):
        rows = [document.rows for document in of_date]
        impressions = [each for each in rows if isinstance(each, ImpressionRows)]
        yield from _tables(
            date,
            (IMPRESSIONS, [each.impression for each in impressions]),
            (REWRITES, [row for each in impressions for row in each.rewrites]),
            (HITS, [row for each in impressions for row in each.hits]),
            (HIT_CHANNELS, [row for each in impressions for row in each.hit_channels]),
            (QUERIES, [each for each in rows if isinstance(each, QueryRow)]),
            (EVENTS, [each for each in rows if isinstance(each, EventRow)]),
        )


def dated_rejects(rejects: Sequence[RejectRow]) -> Iterator[DatedRows]:
    """The rows of documents that could not be read, by the date they were collected on."""
    for date in sorted({date_of(row.rejected_at) for row in rejects}):
        yield from _tables(date, (REJECTS, [row for row in rejects if date_of(row.rejected_at) == date]))


def _tables(date: str, *tables: tuple[TableSpec, Sequence[object]]) -> Iterator[DatedRows]:
    for spec, rows in tables:
        if rows:
            arrays = [pa.array(list(map(attrgetter(field.name), rows)), field.type) for field in spec.schema]
            yield DatedRows(spec.name, date, pa.Table.from_arrays(arrays, schema=spec.schema))


def _read_document(source: Source, document: Document, hasher: ClientIdHasher) -> ReadDocument:
    if document.source is None:
        raise MalformedDocumentError(Reason.NO_SOURCE, "_source")
    if source is Source.IMPRESSIONS:
        impression = impression_documents.impression_rows(document.document_id, document.source)
        return ReadDocument(_arrival(document, impression.impression.timestamp), impression)
    row: QueryRow | EventRow
    if source is Source.QUERIES:
        row = ubi_documents.query_row(document.document_id, document.source, hasher)
    else:
        row = ubi_documents.event_row(document.document_id, document.source, hasher)
    lost = bool(document.source.get("client_id")) and not row.client_id
    return ReadDocument(_arrival(document, row.timestamp), row, client_id_lost=lost)


def _arrival(document: Document, timestamp_us: int) -> Arrival:
    return Arrival(document.document_id, date_of(timestamp_us), rewritten=document.version > 1)


def _reject(
    source: Source, status: ShardStatus, document: Document, error: MalformedDocumentError, now_us: int
) -> RejectRow:
    return RejectRow(
        source=source.value,
        index_uuid=status.shard.index_uuid,
        shard=status.shard.shard,
        seq_no=document.seq_no,
        document_id=document.document_id,
        rejected_at=now_us,
        reason=error.reason.value,
        field=error.field,
    )
