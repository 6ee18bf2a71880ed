"""Labels are the same bytes on Spark and on DuckDB."""

from __future__ import annotations

from pathlib import Path

from iterqr_training.main import main
from support.labelling import TITLES, attributed_town, write_lines

FILES = ("labels.jsonl", "labels.json")


def test_labels_on_spark(tmp_path: Path) -> None:
    inputs = attributed_town(tmp_path)
    titles = write_lines(tmp_path / "titles.jsonl", ({"object_id": k, "title": v} for k, v in TITLES.items()))

    def label(engine: str) -> dict[str, bytes]:
        out = tmp_path / engine.partition(":")[0].partition("?")[0]
        main(["label", *inputs, "--out", str(out), "--titles", str(titles), "--engine", engine])
        return {name: (out / name).read_bytes() for name in FILES}

    on_duckdb = label("duckdb://")
    assert on_duckdb["labels.jsonl"].count(b"\n") > 10
    assert b'"source": "reformulation"' in on_duckdb["labels.jsonl"]
    assert label("spark+local?driver_memory=1g&shuffle_partitions=2&spark.ui.enabled=false") == on_duckdb
