"""Generated signals, their agreement and the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from iterqr_benchmarks.signal_scale import generator
from iterqr_benchmarks.signal_scale.agreement import Agreement, compare_marts
from iterqr_benchmarks.signal_scale.generator import GeneratorOptions, generate
from iterqr_benchmarks.signal_scale.measuring import Measured
from iterqr_benchmarks.signal_scale.report import SignalScaleReport, scale_html, scale_json, verdict
from iterqr_training.machine import this_machine
from iterqr_training.signals.engines import open_engine
from iterqr_training.signals.marts import write_marts
from iterqr_training.signals.tables import EVENTS, HIT_CHANNELS, HITS, IMPRESSIONS, MARTS, REWRITES, TableSpec


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated") / "raw"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generator, "CHUNK", 700)
        generate(GeneratorOptions(2_000, seed=3), folder, lambda _done: None)
    return folder


def _read(folder: Path, spec: TableSpec) -> pa.Table:
    return pa.concat_tables(pq.read_table(file) for file in sorted((folder / spec.name).glob("*.parquet")))


@pytest.mark.parametrize("spec", [IMPRESSIONS, REWRITES, HITS, HIT_CHANNELS, EVENTS], ids=lambda spec: spec.name)
def test_tables_keep_their_schema_and_key(raw: Path, spec: TableSpec) -> None:
    table = _read(raw, spec)
    assert table.schema.equals(spec.schema)
    assert table.num_rows > 0
    assert table.group_by(list(spec.key)).aggregate([]).num_rows == table.num_rows


def test_it_is_drawn_in_chunks_and_the_same_for_the_same_seed(raw: Path, tmp_path: Path) -> None:
    assert len(list((raw / "events").glob("*.parquet"))) == 3
    told: list[int] = []
    rows = [
        generate(GeneratorOptions(500, seed), tmp_path / f"{number}", told.append)
        for number, seed in enumerate((1, 1, 2))
    ]
    assert told == [500, 500, 500]
    assert rows[0]["impressions"] == 500
    assert _read(tmp_path / "0", EVENTS) == _read(tmp_path / "1", EVENTS)
    assert _read(tmp_path / "0", EVENTS) != _read(tmp_path / "2", EVENTS)


def test_it_has_what_attribution_must_tell_apart(raw: Path) -> None:
    assert set(_read(raw, IMPRESSIONS)["outcome"].to_pylist()) >= {"control", "original_suffices", "fused", "timeout"}
    pages = _read(raw, IMPRESSIONS).group_by("query_id").aggregate([([], "count_all")])
    assert max(pages["count_all"].to_pylist()) > 1
    events = _read(raw, EVENTS)
    assert set(events["action"].to_pylist()) == {"click", "purchase"}
    assert "" in events["query_id"].to_pylist()
    assert None in events["position"].to_pylist()


def _marts(folder: Path, rows: int = 2, broken: str = "") -> Path:
    def write(out: Path) -> Mapping[str, Any]:
        for spec in MARTS:
            columns = {
                field.name: pa.array([_value(field.type, number) for number in range(rows)]).cast(field.type)
                for field in spec.schema
            }
            if spec.name == broken:
                columns[spec.schema.names[-1]] = columns[spec.schema.names[-1]].slice(1).fill_null(0)
                columns = {name: column.slice(0, rows - 1) for name, column in columns.items()}
            (out / spec.name).mkdir()
            pq.write_table(pa.table(columns, schema=spec.schema), out / spec.name / "part.parquet")
        return {}

    write_marts(folder, write)
    return folder


def _value(kind: pa.DataType, number: int) -> object:
    return str(number) if pa.types.is_string(kind) else bool(number) if pa.types.is_boolean(kind) else number


def test_equal_marts_agree_and_others_are_found(tmp_path: Path) -> None:
    first, same = _marts(tmp_path / "1"), _marts(tmp_path / "2")
    other = _marts(tmp_path / "3", broken="hints")
    with open_engine("duckdb://?threads=1") as engine:
        assert all(each.equal and each.rows == 2 for each in compare_marts(engine, 10, first, same))
        found = {each.table: each for each in compare_marts(engine, 10, first, other)}
    assert (found["hints"].only_first, found["hints"].only_second) == (2, 1)
    assert [name for name, each in found.items() if not each.equal] == ["hints"]


def test_a_key_that_is_there_twice_is_no_agreement() -> None:
    assert not Agreement(10, "hints", rows=3, unique_keys=2, only_first=0, only_second=0).equal


def _report(*agreements: Agreement) -> SignalScaleReport:
    runs = (
        Measured("duckdb", 1_000, 2.0, 3.5, 300.0, {"events": 1.5}, {"hints": 7}, ""),
        Measured("spark", 1_000, 9.0, 12.0, 900.0, {}, {}, "exit status 1: <boom> & more"),
    )
    return SignalScaleReport(
        "now", this_machine(), {"duckdb": "2"}, {"seed": 1}, {1_000: {"hits": 9}}, runs, agreements
    )


def test_the_verdict_names_what_differs() -> None:
    equal, wrong = Agreement(1_000, "hints", 7, 7, 0, 0), Agreement(1_000, "examination", 7, 7, 1, 1)
    assert verdict(_report(equal)) == "The engines' marts are equal row for row at 1,000 impressions (7 rows)."
    assert verdict(_report(equal, wrong)) == "The engines' marts DIFFER: examination at 1,000."
    assert verdict(_report()) == "Nothing to compare: no size was done by two engines."


def test_the_page_escapes_what_processes_said() -> None:
    page = scale_html(_report())
    assert "&lt;boom&gt; &amp; more" in page
    assert "<boom>" not in page
    assert "duckdb: seconds" in page
    assert json.loads(scale_json(_report()))["runs"][1]["failure"] == "exit status 1: <boom> & more"
