"""The store: a commit is whole or not there, wherever the process dies; readers see only what is committed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from iterqr_training.errors import StoreError
from iterqr_training.signals.store.partitions import DatedRows, pieces
from iterqr_training.signals.store.reader import read_snapshot
from iterqr_training.signals.store.state import DataFile, ShardId, StoreState, Watermark, decode_state, encode_state
from iterqr_training.signals.store.writer import SignalStore
from iterqr_training.signals.tables import COLLECTED, QUERIES, REWRITES
from support.failing_disk import FailingDisk, ProcessDied

SHARD = ShardId("uuid-1", 0)
DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)


def queries(*ids: str, day: int = 0) -> pa.Table:
    rows = [
        {"document_id": each, "query_id": f"q-{each}", "timestamp": DAY + timedelta(days=day), "user_query": "soup",
         "client_id": "", "application": ""}
        for each in ids
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=QUERIES.schema)


def rewrites(*ids: str) -> pa.Table:
    rows = [
        {"impression_id": each, "ordinal": 1, "rewrite_id": "r", "text": "", "confidence": 0.5, "source": ""}
        for each in ids
    ]
    return pa.Table.from_pylist(rows, schema=REWRITES.schema)


def dated(*ids: str, day: int = 0) -> list[DatedRows]:
    date = (DAY + timedelta(days=day)).date().isoformat()
    return [DatedRows("queries", date, queries(*ids, day=day)), DatedRows("rewrites", date, rewrites(*ids))]


def mark(seq_no: int, shard: ShardId = SHARD) -> Watermark:
    return Watermark(shard, "ubi_queries", seq_no)


def ids_in(folder: Path, table: str = "queries", column: str = "document_id") -> list[str]:
    found: list[str] = [
        each
        for file in read_snapshot(folder).open_table(table)
        for each in pq.ParquetFile(file).read()[column].to_pylist()
    ]
    return sorted(found)


def parquet_files(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.glob("*/date=*/*.parquet")}


def listed(folder: Path) -> set[str]:
    return {file.path for file in read_snapshot(folder).state.files}


def test_what_is_committed_is_read_with_its_watermark(tmp_path: Path) -> None:
    with SignalStore(tmp_path) as store:
        store.commit(dated("a", "b"), [mark(7)])
        store.commit(dated("c", day=1), [mark(9)])
    assert ids_in(tmp_path) == ["a", "b", "c"]
    state = read_snapshot(tmp_path).state
    assert state.seq_no(SHARD) == 9
    assert state.seq_no(ShardId("uuid-2", 0)) == -1
    assert [file.date for file in state.of_table("queries")] == ["2026-03-01", "2026-03-02"]
    assert [file.path.split("/")[1] for file in state.of_table("queries")] == ["date=2026-03-01", "date=2026-03-02"]
    assert read_snapshot(tmp_path).rows("queries") == 3


def test_every_table_can_be_read_before_it_has_rows(tmp_path: Path) -> None:
    with SignalStore(tmp_path):
        pass
    for spec in COLLECTED:
        (file,) = read_snapshot(tmp_path).open_table(spec.name)
        assert pq.read_schema(file).equals(spec.schema)
        assert duckdb.read_parquet(str(file), hive_partitioning=False).columns == spec.schema.names


def operations_of_a_commit(folder: Path) -> Iterator[int]:
    """The numbers of the operations between which a store can die that opens and commits."""
    number = 0
    while True:
        yield number
        if dies(folder / str(number), number) is None:
            return
        number += 1


def dies(folder: Path, at: int) -> ProcessDied | None:
    """Opens a store that has one commit, makes another and a compaction, and dies at an operation."""
    with SignalStore(folder) as store:
        store.commit(dated("a"), [mark(1)])
    leftover = folder / "queries" / "date=2026-03-01" / "00000002-left.parquet"
    leftover.write_bytes(b"of a writer that was killed")
    try:
        with SignalStore(folder, disk=FailingDisk(at)) as store:
            store.commit(dated("b"), [mark(2)])
            store.compact(min_files=2)
    except ProcessDied as died:
        return died
    return None


def test_wherever_the_process_dies_a_commit_is_whole_or_not_there(tmp_path: Path) -> None:
    seen = set()
    numbers = list(operations_of_a_commit(tmp_path))
    for number in numbers:
        folder = tmp_path / str(number)
        state = read_snapshot(folder).state
        assert (ids_in(folder), ids_in(folder, "rewrites", "impression_id"), state.seq_no(SHARD)) in [
            (["a"], ["a"], 1),
            (["a", "b"], ["a", "b"], 2),
        ]
        seen.add(state.seq_no(SHARD))
        with SignalStore(folder) as store:
            assert parquet_files(folder) == listed(folder) | {retired.path for retired in store.state.retired}
            if state.seq_no(SHARD) == 1:
                store.commit(dated("b"), [mark(2)])
        assert ids_in(folder) == ["a", "b"]
        assert ids_in(folder, "rewrites", "impression_id") == ["a", "b"]
        assert not list(folder.rglob("*.partial"))
    assert seen == {1, 2}
    assert len(numbers) > 12, "two files and a state, each written, synced and named, and a compaction"


def test_a_new_store_that_dies_at_once_can_be_opened_again(tmp_path: Path) -> None:
    number = 0
    while True:
        folder = tmp_path / str(number)
        try:
            with SignalStore(folder, disk=FailingDisk(number)):
                break
        except ProcessDied:
            with SignalStore(folder) as store:
                assert store.state.files == ()
            assert all(pq.read_schema(file) for file in (folder / "empty").iterdir())
            number += 1
    assert number > len(COLLECTED)


def test_a_disk_that_refuses_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SignalStore(tmp_path) as store:
        store.commit(dated("a"), [mark(1)])
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
            with pytest.raises(StoreError, match=r"cannot commit.*No space left.*run again"):
                store.commit(dated("b"), [mark(2)])
        assert store.state.seq_no(SHARD) == 1
        store.commit(dated("b"), [mark(2)])
    assert ids_in(tmp_path) == ["a", "b"]


def test_one_process_writes_at_a_time(tmp_path: Path) -> None:
    with SignalStore(tmp_path), pytest.raises(StoreError, match="written by another process"), SignalStore(tmp_path):
        pass
    with SignalStore(tmp_path) as store:
        assert store.state.generation == 0


def test_a_reader_keeps_its_files_while_they_are_compacted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SignalStore(tmp_path) as store:
        for number in range(5):
            store.commit(dated(f"d{number}"), [mark(number)])
        store.commit(dated("late", day=1), [mark(9)])
        before = read_snapshot(tmp_path)
        assert store.compact(min_files=5) == 8
        assert [file.rows for file in store.state.of_table("queries")] == [1, 5]
    assert ids_in(tmp_path) == ["d0", "d1", "d2", "d3", "d4", "late"]
    with SignalStore(tmp_path):
        assert all(file.exists() for file in before.open_table("queries"))
    an_hour_later = time.time() + 3601
    monkeypatch.setattr(time, "time", lambda: an_hour_later)
    with SignalStore(tmp_path) as store:
        assert store.state.retired == ()
    assert parquet_files(tmp_path) == listed(tmp_path)
    assert ids_in(tmp_path) == ["d0", "d1", "d2", "d3", "d4", "late"]


def test_files_of_other_sizes_are_not_joined(tmp_path: Path) -> None:
    """A row is written again once for each size, not with each compaction."""
    with SignalStore(tmp_path) as store:
        store.commit(dated(*(f"d{number}" for number in range(100))), [mark(1)])
        store.commit(dated("a"), [mark(2)])
        store.commit(dated("b"), [mark(3)])
        assert store.compact(min_files=2) == 2
        assert [file.rows for file in store.state.of_table("queries")] == [100, 2]
        assert store.compact(min_files=2) == 0


def test_without_a_store_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"run `iterqr-train collect` first"):
        read_snapshot(tmp_path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"schema": "iterqr-signals/v1", "gener', "damaged"),
        ('{"schema": "iterqr-signals/v2"}', "iterqr-signals/v2.*reads 'iterqr-signals/v1'"),
        ('{"schema": "iterqr-signals/v1", "generation": 1}', "damaged.*files"),
        ("[]", "damaged"),
    ],
)
def test_a_state_that_is_not_ours_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(StoreError, match=told):
        read_snapshot(tmp_path)
    with pytest.raises(StoreError, match=told), SignalStore(tmp_path):
        pass


def test_a_state_names_no_file_outside_of_its_store() -> None:
    for path in ("/etc/passwd", "queries/../../x.parquet"):
        state = StoreState(files=(DataFile("queries", "2026-03-01", path, 1, 1),))
        with pytest.raises(StoreError, match="outside of the store"):
            decode_state(encode_state(state))


def test_a_lost_file_is_told(tmp_path: Path) -> None:
    with SignalStore(tmp_path) as store:
        store.commit(dated("a"), [mark(1)])
        (lost,) = store.snapshot.open_table("queries")
    lost.unlink()
    with pytest.raises(StoreError, match=f"lacks queries/date=2026-03-01/{lost.name}"), SignalStore(tmp_path):
        pass


def test_the_state_is_written_as_it_is_read() -> None:
    state = StoreState(
        generation=3,
        files=(DataFile("queries", "2026-03-01", "queries/date=2026-03-01/1.parquet", 2, 300),),
        watermarks=(mark(5), mark(6, ShardId("uuid-2", 1))),
    ).with_replacement([], [], 5.0)
    assert decode_state(encode_state(state)) == state
    assert json.loads(encode_state(state))["schema"] == "iterqr-signals/v1"


def test_files_are_bounded() -> None:
    table = queries(*"abcde")
    assert [piece["document_id"].to_pylist() for piece in pieces(table, 2)] == [["a", "b"], ["c", "d"], ["e"]]
