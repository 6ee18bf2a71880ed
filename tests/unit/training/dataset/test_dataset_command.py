"""`iterqr-train dataset`: flags that the builder does not see."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from iterqr_training.dataset.rows import SPLITS, Band
from iterqr_training.evaluate.truth import TruthQuery, write_truth
from iterqr_training.main import main
from support.labelling import make_folder, make_label


def test_queries_of_truth_sets_are_in_no_split(tmp_path: Path) -> None:
    labels = tmp_path / "labels"
    make_folder(labels, [make_label(query=query) for query in ("pad tai", "chiken soup", "green toast")])
    excluded = []
    for name, query in (("heldout", "Pad-Tai"), ("validation", "chiken soup")):
        write_truth(tmp_path / f"{name}.jsonl", [TruthQuery(query, "south", Band.TAIL, frozenset({"a"}))])
        excluded += ["--exclude", str(tmp_path / f"{name}.jsonl")]
    out = tmp_path / "dataset"
    main(["dataset", "--labels", str(labels), "--out", str(out), "--min-clients", "1", *excluded])
    kept = [row["query"] for split in SPLITS for row in pq.read_table(out / f"{split}.parquet").to_pylist()]
    assert set(kept) == {"green toast"}
    sheet = json.loads((out / "datasheet.json").read_text("utf-8"))
    assert sheet["left_out"]["query is held out to measure on"] == 2


def test_a_truth_set_that_is_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = tmp_path / "labels"
    make_folder(labels, [make_label()])
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text("{}\n")
    with pytest.raises(SystemExit):
        main(["dataset", "--labels", str(labels), "--out", str(tmp_path / "out"), "--exclude", str(wrong)])
    assert "wrong.jsonl, line 1: query" in capsys.readouterr().err
