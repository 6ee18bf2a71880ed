"""Which rows go into which file: by event date, and no file too large."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

MAX_FILE_ROWS = 1_000_000


@dataclass(frozen=True, slots=True)
class DatedRows:
    """Rows of one table and one date (YYYY-MM-DD, UTC), which go into the same partition."""

    table: str
    date: str
    rows: pa.Table


def dates_of(times: pa.ChunkedArray | pa.Array) -> pa.Array:
    """The dates of UTC times, as YYYY-MM-DD."""
    return pc.cast(pc.cast(times, pa.date32()), pa.string())


def by_date(table: str, rows: pa.Table, dates: pa.Array) -> Iterator[DatedRows]:
    """Splits rows by their dates; in order of dates, rows of a date in the order given.

    Args:
        table: Its name.
        rows: Of it.
        dates: One for each row.
    """
    for date in sorted(pc.unique(dates).to_pylist()):
        yield DatedRows(table, date, rows.filter(pc.equal(dates, date)))


def pieces(rows: pa.Table, max_rows: int = MAX_FILE_ROWS) -> Iterator[pa.Table]:
    """Cuts rows into files of at most `max_rows`."""
    for start in range(0, rows.num_rows, max_rows):
        yield rows.slice(start, max_rows)
