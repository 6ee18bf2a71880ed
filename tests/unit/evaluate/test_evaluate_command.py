"""`iterqr-train evaluate`: what can be told wrong before anybody is asked, and the baselines from marts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from iterqr_training.dataset.rows import Band
from iterqr_training.evaluate.past_queries import read_past_queries
from iterqr_training.evaluate.truth import TruthQuery, write_truth
from iterqr_training.main import main
from iterqr_training.signals.marts import read_marts, write_marts
from iterqr_training.signals.tables import HINTS, MARTS, QUERY_OUTCOMES, TableSpec
from support.evaluations import truth


def rows_of(spec: TableSpec, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows with null for what they do not tell."""
    return pa.Table.from_pylist([{name: row.get(name) for name in spec.schema.names} for row in rows], spec.schema)


def write_past(folder: Path) -> Path:
    """Marts of a past in which pad thai was searched twice and clicked, and soup searched once."""
    searches = [{"query_id": str(n), "region": "north", "normalized_query": "pad thai"} for n in range(2)]
    searches.append({"query_id": "2", "region": "north", "normalized_query": "soup"})
    clicks = [{"region": "north", "normalized_query": "pad thai", "object_id": "a", "clicks": 3, "clients": 2}]
    tables = {QUERY_OUTCOMES.name: rows_of(QUERY_OUTCOMES, searches), HINTS.name: rows_of(HINTS, clicks)}

    def write(generation: Path) -> Mapping[str, object]:
        for spec in MARTS:
            (generation / spec.name).mkdir(parents=True)
            table = tables.get(spec.name, spec.schema.empty_table())
            pq.write_table(table, generation / spec.name / "part-0.parquet")
        return {}

    write_marts(folder, write)
    return folder


@pytest.fixture
def heldout(tmp_path: Path) -> Path:
    file = tmp_path / "heldout.jsonl"
    write_truth(file, [truth("pad tai", Band.TAIL, pad_thai=True), truth("soup", Band.HEAD, broth=True)])
    return file


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", *arguments])
    assert ended.value.code == 1
    return capsys.readouterr().err


def test_past_queries_come_from_the_marts(tmp_path: Path) -> None:
    past = read_past_queries(read_marts(write_past(tmp_path / "marts")))
    assert [(each.text, each.searches) for each in past.by_region["north"]] == [("pad thai", 2), ("soup", 1)]
    assert [(each.text, each.clicks) for each in past.clicked("north")] == [("pad thai", {"a": 3})]


def test_baselines_are_measured_without_any_server(tmp_path: Path, heldout: Path) -> None:
    marts, out = write_past(tmp_path / "marts"), tmp_path / "out"
    arguments = ["evaluate", "--truth", str(heldout), "--marts", str(marts), "--embedder", "none"]
    main([*arguments, "--out", str(out), "--resamples", "200"])
    document = json.loads((out / "evaluation.json").read_text())
    assert [each["name"] for each in document["systems"]] == ["none", "keyword"]
    keyword = document["systems"][1]["bands"]
    assert keyword["tail"]["values"]["rewrite_p1"]["value"] == 1.0
    assert keyword["head"]["values"]["rewrite_p1"]["value"] == 0.0
    assert (out / "evaluation.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--url", "http://127.0.0.1:1"], "--url, --index and --search must be given together"),
        (["--server", "keyword=127.0.0.1:1"], "--server: the name 'keyword' is taken"),
        (["--server", "a=127.0.0.1:1", "--server", "a=127.0.0.1:2"], "--server: the name 'a' is taken"),
        (["--general", "a=general.json"], "--general: 'a' is no --server"),
        (["--rewrite-weight", "-1"], "--rewrite-weight: must be from 0 to 10"),
        (["--max-rewrites", "9"], "--max-rewrites: must be from 1 to 8"),
        (["--resamples", "1"], "--resamples: must be from 100 to"),
        (["--marts", "nowhere"], "has no marts"),
        (["--embedder", "nowhere"], "the embedding model cannot be read"),
    ],
)
def test_wrong_flags_are_named(
    heldout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    embedder = [] if "--embedder" in flags else ["--embedder", "none"]
    assert message in refused(["--truth", str(heldout), "--out", str(tmp_path), *embedder, *flags], capsys)


def test_validation_queries_must_not_be_held_out(
    heldout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    validation = tmp_path / "validation.jsonl"
    write_truth(validation, [TruthQuery("Pad Tai!", "north", Band.TAIL, frozenset({"a"}))])
    flags = ["--truth", str(heldout), "--validation", str(validation), "--out", str(tmp_path), "--embedder", "none"]
    assert "'pad tai' (region 'north') is in --truth, too" in refused(flags, capsys)
