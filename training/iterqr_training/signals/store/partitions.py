"""Which rows go into which file: by event date, and no file too large."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

MAX_FILE_ROWS = 1_000_000


@dataclass(frozen=True, slots=True)
class DatedRows:
    """Rows of one table and one date (YYYY-MM-DD, UTC), which go into the same partition."""

    table: str
    date: str
    rows: pa.Table


def pieces(rows: pa.Table, max_rows: int = MAX_FILE_ROWS) -> Iterator[pa.Table]:
    """Cuts rows into files of at most `max_rows`."""
    for start in range(0, rows.num_rows, max_rows):
        yield rows.slice(start, max_rows)
