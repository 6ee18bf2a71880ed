"""Writing a store: one writer, and commits that a crash leaves either whole or without a trace.

A commit writes its Parquet files under names that nobody reads yet, then replaces the state, which lists them together
with the watermarks they bring. So what was read and up to where cannot disagree. Files that no state lists, left by a
writer that was killed, are removed when the next one opens the store.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from iterqr_training.errors import StoreError
from iterqr_training.signals.store.disk import Disk
from iterqr_training.signals.store.partitions import MAX_FILE_ROWS, DatedRows, pieces
from iterqr_training.signals.store.reader import EMPTY_FOLDER, STATE_FILE, Snapshot, empty_file, read_snapshot
from iterqr_training.signals.store.state import DataFile, StoreState, Watermark, encode_state
from iterqr_training.signals.tables import COLLECTED, TableSpec

_LOCK_FILE = ".lock"
_PARTIAL_STATE = f".{STATE_FILE}.partial"
_RETIRED_FOR_S = 3600.0
_COMPACT_FROM_FILES = 16
_SMALL_ROWS = MAX_FILE_ROWS // 4  # so what is joined at a time fits into memory


class SignalStore:
    """A store open for writing. A context manager: the store is locked while it is open.

    Args:
        folder: Of the store; made if it is not there.
        disk: What it writes with.

    Raises:
        StoreError: When opened: another process writes it, or it is damaged or of another version.
    """

    def __init__(self, folder: Path, *, disk: Disk | None = None) -> None:
        self._folder = folder
        self._disk = disk or Disk()
        self._state = StoreState()
        self._lock = FileLock(folder / _LOCK_FILE)

    @property
    def state(self) -> StoreState:
        """What is committed."""
        return self._state

    @property
    def snapshot(self) -> Snapshot:
        """What is committed, for reading."""
        return Snapshot(self._folder, self._state)

    def __enter__(self) -> Self:
        try:
            self._disk.make_folder(self._folder)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise StoreError(f"{self._folder} is written by another process: wait for it or stop it") from error
        except OSError as error:
            raise StoreError(f"{self._folder} cannot be written: {error}") from error
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def commit(self, rows: Iterable[DatedRows], watermarks: Sequence[Watermark]) -> None:
        """Adds rows and moves watermarks, both or neither.

        Args:
            rows: Of any tables and dates, with the tables' schemas.
            watermarks: Up to where shards were seen with these rows.

        Raises:
            StoreError: The disk refuses. Nothing is committed then, and the store can go on.
        """
        try:
            files = self._write(rows)
            self._put_state(self._state.with_commit(files, watermarks))
        except OSError as error:
            raise StoreError(f"{self._folder}: cannot commit: {error}; free space or rights, then run again") from error

    def compact(self, *, min_files: int = _COMPACT_FROM_FILES) -> int:
        """Joins small files of a partition where many have about the same size. Returns how many fewer there are.

        Args:
            min_files: So many files of a size are joined. A row is written again about once for each size.

        Raises:
            StoreError: The disk refuses. Nothing is changed then.
        """
        old: list[DataFile] = []
        new: list[DataFile] = []
        small = sorted((file for file in self._state.files if file.rows < _SMALL_ROWS), key=_partition_and_size)
        try:
            for _, group in groupby(small, key=_partition_and_size):
                files = list(group)
                if len(files) >= max(min_files, 2):
                    old += files
                    new += self._joined(files)
            if old:
                self._put_state(self._state.with_replacement(old, new, time.time()))
                self._remove_leftovers()
        except OSError as error:
            raise StoreError(
                f"{self._folder}: cannot compact: {error}; free space or rights, then run again"
            ) from error
        return len(old) - len(new)

    def _open(self) -> None:
        for spec in COLLECTED:
            self._ensure_empty(spec)
        if (self._folder / STATE_FILE).exists():
            self._state = read_snapshot(self._folder).state
        else:
            self._put_state(StoreState())
        self._remove_leftovers()
        missing = next((each for each in self._state.files if not (self._folder / each.path).exists()), None)
        if missing:
            raise StoreError(
                f"{self._folder} lacks {missing.path}, which its state lists: restore it, or collect into a new folder"
            )

    def _ensure_empty(self, spec: TableSpec) -> None:
        file = empty_file(self._folder, spec.name)
        if file.exists():
            return
        self._disk.make_folder(file.parent)
        partial = file.with_name(f".{file.name}.partial")
        self._disk.write_table(spec.schema.empty_table(), partial)
        self._disk.sync([partial])
        self._disk.replace(partial, file)

    def _remove_leftovers(self) -> None:
        """Removes what no state lists: files of a killed writer, and files retired long ago."""
        before_s = time.time() - _RETIRED_FOR_S
        if any(file.retired_at_s < before_s for file in self._state.retired):
            self._put_state(self._state.without_retired(before_s))
        listed = {file.path for file in self._state.files} | {retired.path for retired in self._state.retired}
        for spec in COLLECTED:
            for file in (self._folder / spec.name).glob("date=*/*.parquet"):
                if file.relative_to(self._folder).as_posix() not in listed:
                    self._disk.remove(file)
        for partial in (*(self._folder / EMPTY_FOLDER).glob(".*.partial"), self._folder / _PARTIAL_STATE):
            self._disk.remove(partial)

    def _write(self, rows: Iterable[DatedRows]) -> list[DataFile]:
        files = [self._write_piece(dated, piece) for dated in rows for piece in pieces(dated.rows)]
        if files:
            self._disk.sync([self._folder / file.path for file in files])
        return files

    def _write_piece(self, dated: DatedRows, piece: pa.Table) -> DataFile:
        folder = self._folder / dated.table / f"date={dated.date}"
        self._disk.make_folder(folder)
        file = folder / f"{self._state.generation + 1:08d}-{uuid.uuid4().hex[:12]}.parquet"
        size_bytes = self._disk.write_table(piece, file)
        path = file.relative_to(self._folder).as_posix()
        return DataFile(dated.table, dated.date, path, piece.num_rows, size_bytes)

    def _joined(self, old: Sequence[DataFile]) -> list[DataFile]:
        rows = pa.concat_tables([pq.ParquetFile(self._folder / file.path).read() for file in old])
        return self._write([DatedRows(old[0].table, old[0].date, rows)])

    def _put_state(self, state: StoreState) -> None:
        partial = self._folder / _PARTIAL_STATE
        self._disk.write_text(encode_state(state), partial)
        self._disk.replace(partial, self._folder / STATE_FILE)
        self._state = state


def _partition_and_size(file: DataFile) -> tuple[str, str, int]:
    """Sizes are told apart by powers of eight."""
    return file.table, file.date, file.rows.bit_length() // 3
