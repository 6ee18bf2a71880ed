"""Files of labels: what is read, and what is said of a wrong line."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from iterqr_training.dataset.rows import Band, LabelSource, Task
from iterqr_training.errors import LabelFileError
from iterqr_training.labels.chains import ChainJournal, chain_lines, read_chains
from iterqr_training.labels.label_files import label_line, read_labels
from iterqr_training.labels.records import Kind
from support.labelling import make_chain, make_label, write_lines

RIGHT: dict[str, Any] = {"task": "relevance", "query": "Pad  TAI", "subject": "pad thai", "label": "yes"}


def test_defaults(tmp_path: Path) -> None:
    (label,) = read_labels(write_lines(tmp_path / "a.jsonl", [RIGHT]))
    assert (label.query, label.kind, label.source, label.weight) == ("pad tai", Kind.REWRITE, LabelSource.HUMAN, 1.0)
    assert (label.band, label.region, label.clients) == (Band.TAIL, "", 0)


def test_csv_reads_as_json_lines_do(tmp_path: Path) -> None:
    row = {**RIGHT, "label": "no", "weight": 0.25, "clients": 7, "observed_at": "2026-03-01T12:00:00+01:00"}
    lines = read_labels(write_lines(tmp_path / "a.jsonl", [row]))
    file = tmp_path / "a.csv"
    file.write_text(",".join(row) + "\n" + ",".join(map(str, row.values())) + "\n", "utf-8")
    assert read_labels(file) == lines
    assert lines[0].observed_at == datetime(2026, 3, 1, 11, tzinfo=UTC)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    label = make_label(subject='"süß";, 麺', weight=0.125, task=Task.QUALITY, source=LabelSource.JUDGE)
    (tmp_path / "a.jsonl").write_text(label_line(label) + "\n", "utf-8")
    assert read_labels(tmp_path / "a.jsonl") == (label,)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"task": "generation"}, "task: must be one of quality, relevance, is 'generation'"),
        ({"label": True}, "label: must be one of yes, no, is True"),
        ({"query": ""}, "query: must be a string of 1 to 256 characters"),
        ({"query": 3}, "query: must be a string of 1 to 256 characters"),
        ({"subject": "x" * 121}, "subject: must be a string of 1 to 120 characters"),
        ({"weight": 0}, "weight: must be a number above 0, at most 1, is 0"),
        ({"weight": float("nan")}, "weight: must be a number above 0"),
        ({"clients": 1.5}, "clients: must be a whole number, 0 or more, is 1.5"),
        ({"observed_at": "2026-03-01T12:00:00"}, "observed_at: must be a time in ISO 8601 with a zone"),
        ({"kind": "item", "task": "quality"}, "task: must be relevance for an item"),
        ({"rating": 5}, "unknown field 'rating'"),
    ],
)
def test_a_wrong_line_is_named_with_its_field(tmp_path: Path, wrong: dict[str, Any], words: str) -> None:
    file = write_lines(tmp_path / "a.jsonl", [RIGHT, {**RIGHT, **wrong}])
    with pytest.raises(LabelFileError, match="line 2: ") as error:
        read_labels(file)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("task,query,subject\nrelevance,a,b\n", "line 1: lacks the column label"),
        ("task,query,subject,label\nrelevance,a,b\n", "line 2: has not as many fields as the header"),
        ("task,query,subject,label,weight\nrelevance,a,b,yes,heavy\n", "line 2: weight: must be a number"),
        ("task,query,subject,label\n\nrelevance,a,b,maybe\n", "line 3: label: must be one of yes, no"),
    ],
)
def test_wrong_csv(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.csv").write_text(text, "utf-8")
    with pytest.raises(LabelFileError) as error:
        read_labels(tmp_path / "a.csv")
    assert words in str(error.value)


def test_the_source_may_be_fixed(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", [{**RIGHT, "source": "judge"}])
    with pytest.raises(LabelFileError, match="line 1: source: must be one of human"):
        read_labels(file, LabelSource.HUMAN)


def test_chains_are_read_as_they_were_written(tmp_path: Path) -> None:
    chains = [make_chain("b"), make_chain("a", hints=())]
    (tmp_path / "chains.jsonl").write_text(chain_lines(chains), "utf-8")
    assert list(read_chains(tmp_path / "chains.jsonl").values()) == sorted(chains, key=lambda each: each.query)
    (tmp_path / "chains.jsonl").write_text(chain_lines(chains).replace('"intent": "dish", ', "", 1), "utf-8")
    with pytest.raises(LabelFileError, match="line 1: intent: is required"):
        read_chains(tmp_path / "chains.jsonl")


def test_a_journal_survives_a_stop_in_the_middle_of_a_line(tmp_path: Path) -> None:
    journal = ChainJournal(tmp_path / "journal.jsonl")
    for query in ("a", "b"):
        journal.keep(make_chain(query))
    file = tmp_path / "journal.jsonl"
    file.write_bytes(file.read_bytes()[:-5])
    assert list(journal.read()) == [("a", "north")]
    journal.keep(make_chain("c"))
    assert list(journal.read()) == [("a", "north"), ("c", "north")]
