"""The state of a store: which files count, and up to where each shard was read. One JSON file, replaced as a whole."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from iterqr_training.errors import StoreError

SCHEMA = "iterqr-signals/v1"


@dataclass(frozen=True, slots=True)
class DataFile:
    """A Parquet file of a table. `path` is below the store's folder; `date` that of its rows, as YYYY-MM-DD."""

    table: str
    date: str
    path: str
    rows: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ShardId:
    """A shard of an index. An index that is deleted and made anew has another uuid."""

    index_uuid: str
    shard: int


@dataclass(frozen=True, slots=True)
class Watermark:
    """Every operation on a shard up to and with `seq_no` was seen. `index` is its name, for people."""

    shard: ShardId
    index: str
    seq_no: int


@dataclass(frozen=True, slots=True)
class RetiredFile:
    """A file that another took the place of. It stays a while for those who read it."""

    path: str
    retired_at_s: float  # Unix time


@dataclass(frozen=True, slots=True)
class StoreState:
    """What is committed. `generation` counts the commits."""

    generation: int = 0
    files: tuple[DataFile, ...] = ()
    watermarks: tuple[Watermark, ...] = ()
    retired: tuple[RetiredFile, ...] = ()

    def of_table(self, table: str) -> tuple[DataFile, ...]:
        """The committed files of one table."""
        return tuple(file for file in self.files if file.table == table)

    def seq_no(self, shard: ShardId) -> int:
        """Up to where a shard was seen; -1 if never."""
        return next((mark.seq_no for mark in self.watermarks if mark.shard == shard), -1)

    def with_commit(self, files: Iterable[DataFile], watermarks: Iterable[Watermark]) -> StoreState:
        """The next state: these files too, and these watermarks in place of the earlier ones of their shards."""
        marks = {mark.shard: mark for mark in (*self.watermarks, *watermarks)}
        return replace(
            self,
            generation=self.generation + 1,
            files=(*self.files, *files),
            watermarks=tuple(sorted(marks.values(), key=lambda mark: (mark.index, mark.shard.shard))),
        )

    def with_replacement(self, old: Iterable[DataFile], new: Iterable[DataFile], at_s: float) -> StoreState:
        """The next state: the same rows in other files."""
        gone = {file.path for file in old}
        return replace(
            self,
            generation=self.generation + 1,
            files=(*(file for file in self.files if file.path not in gone), *new),
            retired=(*self.retired, *(RetiredFile(path, at_s) for path in sorted(gone))),
        )

    def without_retired(self, before_s: float) -> StoreState:
        """The next state: files that were retired before a time are forgotten."""
        kept = tuple(file for file in self.retired if file.retired_at_s >= before_s)
        return replace(self, generation=self.generation + 1, retired=kept)


def encode_state(state: StoreState) -> str:
    """The state as JSON, one file and one watermark a line."""

    def lines(items: Iterable[Any]) -> str:
        return ",\n".join("  " + json.dumps(asdict(item), ensure_ascii=False) for item in items)

    return (
        f'{{"schema": "{SCHEMA}", "generation": {state.generation},\n'
        f'"files": [\n{lines(state.files)}\n],\n'
        f'"watermarks": [\n{lines(state.watermarks)}\n],\n'
        f'"retired": [\n{lines(state.retired)}\n]}}\n'
    )


def decode_state(text: str) -> StoreState:
    """Reads `encode_state`'s JSON.

    Raises:
        StoreError: It is damaged or of another version.
    """
    try:
        state = json.loads(text)
        schema = state["schema"]
        if schema != SCHEMA:
            raise StoreError(
                f"the state is of schema {schema!r}, this version reads {SCHEMA!r}: collect into a new folder"
            )
        decoded = StoreState(
            generation=int(state["generation"]),
            files=tuple(DataFile(**file) for file in state["files"]),
            watermarks=tuple(
                Watermark(ShardId(**mark["shard"]), mark["index"], int(mark["seq_no"])) for mark in state["watermarks"]
            ),
            retired=tuple(RetiredFile(**file) for file in state["retired"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"the state is damaged ({error!r}): restore it from a copy, or collect into a new folder"
        ) from error
    for path in [file.path for file in decoded.files] + [retired.path for retired in decoded.retired]:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise StoreError(f"the state names {path!r}, which is outside of the store: restore it from a copy")
    return decoded
