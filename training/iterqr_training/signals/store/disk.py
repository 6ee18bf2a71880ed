"""What the store does to a disk, one operation each: a crash falls between two of them or halfway through one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

# Row groups are what a query engine reads at a time and what it hands to one thread.
_ROW_GROUP_ROWS = 128 * 1024
# File systems write what several threads wait for in one go.
_SYNC_THREADS = 16


class Disk:
    """The file operations of the store."""

    def make_folder(self, folder: Path) -> None:
        """Makes a folder and those above it, where they are not there; for good."""
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        for each in reversed(missing):
            each.mkdir(exist_ok=True)
            _sync(each.parent)

    def write_table(self, table: pa.Table, file: Path) -> int:
        """Writes a Parquet file under a name that nobody reads yet; not for good before `sync`. Returns its bytes."""
        pq.write_table(table, file, compression="zstd", row_group_size=_ROW_GROUP_ROWS)
        return file.stat().st_size

    def sync(self, files: Sequence[Path]) -> None:
        """Makes new files and their names last."""
        folders = {file.parent for file in files}
        with ThreadPoolExecutor(min(_SYNC_THREADS, len(files) + len(folders)) or 1) as threads:
            list(threads.map(_sync, [*files, *sorted(folders)]))

    def write_text(self, text: str, file: Path) -> None:
        """Writes a small file under a name that nobody reads yet; for good."""
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
