"""Which documents a store has already: the same document may come again, from another index or after an update.

An outage can make a node write an impression twice, into the old and the new backing index, under the same id and with
the same content, so with the same date. Such ids are looked up among those of their date only, which keeps the memory
small: 8 bytes for each row of the dates in use. A document that was written before under its id (its version tells)
may have had another date, so its id is looked up among all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from iterqr_training.signals.store.reader import Snapshot
from iterqr_training.signals.tables import TableSpec

Fingerprints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A document that came: its id, the date of its event, and whether it was written before under this id."""

    document_id: str
    date: str
    rewritten: bool


class KnownIds:
    """The ids of one table. It learns of commits only by `add`.

    Args:
        table: Its key is the document's id.
    """

    def __init__(self, table: TableSpec) -> None:
        self._table = table.name
        self._column = table.key[0]
        self._by_date: dict[str, Fingerprints] = {}

    def of(self, arrivals: Sequence[Arrival], snapshot: Snapshot) -> set[str]:
        """Returns the ids among those that came which the store has.

        Args:
            arrivals: Of one batch; the same id may be among them twice.
            snapshot: Of the store as it is before the batch.
        """
        known: set[str] = set()
        for date in {arrival.date for arrival in arrivals}:
            ids = [arrival.document_id for arrival in arrivals if arrival.date == date]
            prints = self._of_date(date, snapshot)
            # Fingerprints are only the filter; what passes it is looked up.
            likely = [each for each, is_in in zip(ids, np.isin(_prints(ids), prints), strict=True) if is_in]
            known |= self._stored(likely, snapshot, date)
        rewritten = [arrival.document_id for arrival in arrivals if arrival.rewritten]
        return known | self._stored(rewritten, snapshot, None)

    def add(self, arrivals: Iterable[Arrival]) -> None:
        """Called with what was committed."""
        by_date: dict[str, list[str]] = {}
        for arrival in arrivals:
            by_date.setdefault(arrival.date, []).append(arrival.document_id)
        for date, ids in by_date.items():
            if date in self._by_date:
                self._by_date[date] = np.union1d(self._by_date[date], _prints(ids))

    def _of_date(self, date: str, snapshot: Snapshot) -> Fingerprints:
        if date not in self._by_date:
            found = [_prints(column.to_pylist()) for column in self._columns(snapshot, date)]
            self._by_date[date] = np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)
        return self._by_date[date]

    def _stored(self, ids: Sequence[str], snapshot: Snapshot, date: str | None) -> set[str]:
        if not ids:
            return set()
        wanted = pa.array(sorted(set(ids)), pa.string())
        stored: set[str] = set()
        for column in self._columns(snapshot, date):
            stored.update(column.filter(pc.is_in(column, value_set=wanted)).to_pylist())
        return stored

    def _columns(self, snapshot: Snapshot, date: str | None) -> Iterable[pa.ChunkedArray]:
        for file in snapshot.state.of_table(self._table):
            if date is None or file.date == date:
                yield pq.ParquetFile(snapshot.folder / file.path).read(columns=[self._column])[self._column]


def _prints(ids: Sequence[str]) -> Fingerprints:
    """Python's own hashes: they differ from process to process, and are kept in this one only."""
    return np.fromiter((hash(each) for each in ids), np.int64, len(ids))
