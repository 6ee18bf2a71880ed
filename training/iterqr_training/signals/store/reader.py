"""Reading a store, also while a collector writes: only what is committed is seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from iterqr_training.errors import StoreError
from iterqr_training.signals.store.state import StoreState, decode_state

STATE_FILE = "state.json"
EMPTY_FOLDER = "empty"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A store as it was at one commit. Its files stay for an hour at least, whatever is committed after it."""

    folder: Path
    state: StoreState

    def open_table(self, name: str) -> list[Path]:
        """The Parquet files of a table, at least one: an empty table is one file without rows, with its schema.

        Read exactly these, without partition columns (`hive_partitioning=False` in DuckDB): a row's date is in its
        timestamp.

        Raises:
            StoreError: The store has no such table.
        """
        files = [self.folder / file.path for file in self.state.of_table(name)]
        if files:
            return files
        empty = empty_file(self.folder, name)
        if not empty.exists():
            raise StoreError(f"{self.folder} has no table {name!r}")
        return [empty]

    def rows(self, name: str) -> int:
        """How many rows a table has."""
        return sum(file.rows for file in self.state.of_table(name))


def read_snapshot(folder: Path) -> Snapshot:
    """Reads what is committed now.

    Raises:
        StoreError: There is no store, or its state cannot be read.
    """
    try:
        text = (folder / STATE_FILE).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise StoreError(f"{folder} has no collected signals: run `iterqr-train collect` first") from error
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{folder / STATE_FILE} cannot be read: {error}") from error
    try:
        return Snapshot(folder, decode_state(text))
    except StoreError as error:
        raise StoreError(f"{folder / STATE_FILE}: {error}") from error


def empty_file(folder: Path, name: str) -> Path:
    """The file that stands for a table without rows."""
    return folder / EMPTY_FOLDER / f"{name}.parquet"
