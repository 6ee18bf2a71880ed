"""What the store does to a disk, one durable operation each: a crash falls between two of them."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

# Row groups are what a query engine reads at a time and what it hands to one thread.
_ROW_GROUP_ROWS = 128 * 1024


class Disk:
    """The file operations of the store. Each has reached the disk when it returns."""

    def make_folder(self, folder: Path) -> None:
        """Makes a folder and those above it, where they are not there."""
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        for each in reversed(missing):
            each.mkdir(exist_ok=True)
            _sync(each.parent)

    def write_table(self, table: pa.Table, file: Path) -> int:
        """Writes a Parquet file under a name that nobody reads yet. Returns its size in bytes."""
        pq.write_table(table, file, compression="zstd", row_group_size=_ROW_GROUP_ROWS)
        _sync(file)
        return file.stat().st_size

    def sync_folder(self, folder: Path) -> None:
        """Makes the names of new files in a folder last."""
        _sync(folder)

    def write_text(self, text: str, file: Path) -> None:
        """Writes a small file under a name that nobody reads yet."""
        file.write_text(text, encoding="utf-8")
        _sync(file)

    def replace(self, source: Path, target: Path) -> None:
        """Gives a file the name of another in the same folder, at once and for good."""
        source.replace(target)
        _sync(target.parent)

    def remove(self, file: Path) -> None:
        """Removes a file."""
        file.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
