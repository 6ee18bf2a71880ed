"""Settings, URLs of engines and folders: what is refused, and how it is said."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from iterqr_training.errors import EngineError, SettingError, StoreError
from iterqr_training.signals.attribution.settings import AttributionSettings
from iterqr_training.signals.engines import EngineUrl, open_engine, parse_engine_url
from iterqr_training.signals.raw_files import RawFiles
from iterqr_training.signals.tables import EVENTS, HITS, IMPRESSIONS
from support.signals.raw_rows import Page, Signals, write_raw


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"click_actions": ()}, "click_actions must have at least one name"),
        ({"touch_actions": ("click", "")}, "touch_actions must have at least one name, and no empty ones"),
        ({"purchase_actions": ("click",)}, "purchase_actions must not be clicks or touches too: click"),
        ({"touch_window_s": 0}, "touch_window_s is 0, and must be from 1 to 7.776e+06"),
        ({"max_weight": 0}, "max_weight is 0, and must be from 1 to 1000"),
        ({"examination_eta": float("nan")}, "examination_eta is nan, and must be from 0 to 3"),
        ({"min_clients": 0}, "min_clients is 0, and must be from 1 to 1e+06"),
    ],
)
def test_settings_out_of_their_limits_are_named(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SettingError) as refused:
        AttributionSettings(**changes)
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("duckdb://", EngineUrl("duckdb", "", {})),
        (
            "duckdb://?memory_limit=2GB&threads=3",
            EngineUrl("duckdb", "", {"memory_limit": "2GB", "threads": "3"}),
        ),
        ("spark+local", EngineUrl("spark", "local[*]", {})),
        (
            "spark+local?driver_memory=2g&spark.sql.shuffle.partitions=9",
            EngineUrl("spark", "local[*]", {"driver_memory": "2g", "spark.sql.shuffle.partitions": "9"}),
        ),
        ("spark://master:7077", EngineUrl("spark", "spark://master:7077", {})),
        ("spark+k8s://https://host:443", EngineUrl("spark", "k8s://https://host:443", {})),
        ("spark+yarn", EngineUrl("spark", "yarn", {})),
    ],
)
def test_engines_by_url(url: str, expected: EngineUrl) -> None:
    assert parse_engine_url(url) == expected


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "engine '' is none of duckdb://, spark+local"),
        ("postgres://host", "is none of duckdb://, spark+local"),
        ("duckdb://file.db", "is none of duckdb://, spark+local"),
        ("spark://", "is none of duckdb://, spark+local"),
        ("duckdb://?memory=2GB", "option 'memory' is none of memory_limit, threads, temp_folder"),
        ("duckdb://?spark.x=1", "option 'spark.x' is none of memory_limit, threads, temp_folder"),
        ("duckdb://?threads=0", "threads must be from 1 to 10000"),
        ("duckdb://?threads=two", "threads must be from 1 to 10000"),
        ("spark+local?driver_memory=", "option driver_memory has no value"),
        ("spark+local?driver_memory", "has options that are not name=value"),
    ],
)
def test_urls_that_are_none(url: str, complaint: str) -> None:
    with pytest.raises(SettingError) as refused:
        parse_engine_url(url)
    assert complaint in str(refused.value)


def test_a_temp_folder_must_be_there(tmp_path: Path) -> None:
    with (
        pytest.raises(SettingError, match="temp_folder is no folder"),
        open_engine(f"duckdb://?temp_folder={tmp_path / 'no'}"),
    ):
        pass


def test_an_engine_leaves_nothing_in_its_temp_folder(tmp_path: Path) -> None:
    with open_engine(f"duckdb://?temp_folder={tmp_path}") as engine:
        assert engine.read(HITS, []).to_pyarrow().num_rows == 0
    assert list(tmp_path.iterdir()) == []


def test_what_duckdb_refuses_is_one_line() -> None:
    with pytest.raises(EngineError) as refused, open_engine("duckdb://?memory_limit=lots"):
        pass
    assert str(refused.value).startswith("DuckDB cannot be started: ")
    assert "\n" not in str(refused.value)


def test_spark_without_pyspark_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "iterqr_training.signals.spark_engine", None)
    with pytest.raises(EngineError, match=r"install iterqr-training\[spark\]"), open_engine("spark+local"):
        pass


def test_spark_without_java_names_java_home(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyspark")
    monkeypatch.setenv("JAVA_HOME", "/no/such/jdk")
    with pytest.raises(EngineError, match="JAVA_HOME"), open_engine("spark+local"):
        pass


def test_many_files_are_one_table_whatever_folders_they_lie_in(tmp_path: Path) -> None:
    files = [
        *write_raw(Signals([Page("p1")]), tmp_path / "date=2026-03-01" / "outcome=none").of(IMPRESSIONS),
        *write_raw(Signals([Page("p2")]), tmp_path / "date=2026-03-02" / "outcome=none").of(IMPRESSIONS),
    ]
    with open_engine("duckdb://?threads=1") as engine:
        rows = engine.read(IMPRESSIONS, files).order_by("impression_id").to_pyarrow()
    assert rows["impression_id"].to_pylist() == ["p1", "p2"]
    assert rows["outcome"].to_pylist() == ["fused", "fused"]
    assert rows.schema == IMPRESSIONS.schema


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "damaged.parquet").write_bytes(b"no Parquet")
    with open_engine("duckdb://?threads=1") as engine, pytest.raises(EngineError, match=r"DuckDB: .*damaged\.parquet"):
        engine.read(HITS, [tmp_path / "damaged.parquet"])


def test_a_file_without_a_column_is_refused(tmp_path: Path) -> None:
    pq.write_table(HITS.schema.empty_table().drop_columns(["index", "shown"]), tmp_path / "old.parquet")
    with open_engine("duckdb://?threads=1") as engine, pytest.raises(StoreError) as refused:
        engine.read(HITS, [tmp_path / "old.parquet"])
    assert str(refused.value) == "hits lacks columns: shown, index"


def test_raw_files_are_found_below_the_tables_folders(tmp_path: Path) -> None:
    for path in ("events/b/2.parquet", "events/a/1.parquet", "events/a/.state", "hits/x.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    files = RawFiles.below(tmp_path)
    assert files.of(EVENTS) == (tmp_path / "events/a/1.parquet", tmp_path / "events/b/2.parquet")
    assert files.of(HITS) == files.of(IMPRESSIONS) == ()


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="has no raw tables; expected folders impressions"):
        RawFiles.below(tmp_path)


def test_times_are_utc_whatever_the_zone_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    files = write_raw(Signals([Page("p1", at_s=0.000001)]), tmp_path)
    with open_engine("duckdb://?threads=1") as engine:
        (time,) = engine.read(IMPRESSIONS, files.of(IMPRESSIONS)).to_pyarrow()["timestamp"]
    assert time.cast(pa.int64()).as_py() == 1_772_366_400_000_001
