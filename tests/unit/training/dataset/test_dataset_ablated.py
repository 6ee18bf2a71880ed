"""Datasets without a part, and of so many rows in all: what an ablation learns from."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iterqr_proto.rewrite_format import parse
from iterqr_training.commands.dataset import rule_flags
from iterqr_training.dataset.build import Dataset, build_dataset
from iterqr_training.dataset.dataset_folder import write_dataset
from iterqr_training.dataset.rows import Task
from iterqr_training.dataset.selection import even_shares
from iterqr_training.dataset.settings import DatasetSettings
from iterqr_training.errors import SettingError
from iterqr_training.labels.label_folder import LabelFolder
from iterqr_training.labels.records import Kind
from iterqr_training.main import main
from support.labelling import make_chain, make_folder, make_label

ALL_TRAIN = DatasetSettings(test_share=0, validation_share=0, min_clients=1)
QUERIES = 30


def labels(folder: Path) -> LabelFolder:
    made = []
    for number in range(QUERIES):
        query = f"soup {number}"
        made += [
            make_label(query=query, subject=f"good {number}"),
            make_label(query=query, subject=f"A {number}", kind=Kind.ITEM),
        ]
        if number < 5:
            made.append(make_label(query=query, subject=f"odd {number}", task=Task.QUALITY, positive=False))
    return make_folder(folder, made, [make_chain(f"soup {number}", made[0].region) for number in range(QUERIES)])


def built(folder: Path, settings: DatasetSettings) -> Dataset:
    return build_dataset([labels(folder / "labels")], [], settings)


def counts(dataset: Dataset) -> dict[Task, int]:
    return dict(Counter(each.task for each in dataset.splits["train"]))


@given(st.dictionaries(st.sampled_from(list(Task)), st.integers(0, 50), min_size=1), st.integers(0, 200))
def test_a_budget_is_spent_evenly_as_far_as_there_are_rows(rows: dict[Task, int], most: int) -> None:
    shares = even_shares(rows, most)
    assert sum(shares.values()) == min(most, sum(rows.values()))
    assert all(shares[task] <= rows[task] for task in rows)
    short = [shares[task] for task in rows if shares[task] == rows[task]]
    full = [shares[task] for task in rows if shares[task] < rows[task]]
    if full:
        assert max([*full, *short]) - min(full) <= 1


def test_all_tasks_together_have_so_many_rows(tmp_path: Path) -> None:
    settings = replace(ALL_TRAIN, max_rows=36)
    assert counts(built(tmp_path, settings)) == {Task.GENERATION: 16, Task.QUALITY: 5, Task.RELEVANCE: 15}
    alone = built(tmp_path, replace(settings, tasks=(Task.GENERATION,)))
    assert counts(alone) == {Task.GENERATION: QUERIES}
    assert alone.left_out["quality: a task that is not asked for"] == 5


def test_without_a_part_the_same_examples_are_drawn(tmp_path: Path) -> None:
    settings = replace(ALL_TRAIN, max_rows=20)
    full, bare = (built(tmp_path, each) for each in (settings, replace(settings, hints=False, chain=False)))

    def drawn(dataset: Dataset) -> list[tuple[object, ...]]:
        return sorted(
            (each.task, each.query, each.subject, parse(each.target).rewrites or each.target, each.weight)
            for each in dataset.splits["train"]
        )

    assert drawn(bare) == drawn(full)
    assert any(each.hints for each in full.splits["train"])
    assert not any(each.hints for each in bare.splits["train"])


def test_without_a_chain_the_lines_are_there_and_say_nothing(tmp_path: Path) -> None:
    dataset = built(tmp_path, replace(ALL_TRAIN, chain=False))
    (target,) = (each.target for each in dataset.splits["train"] if each.query == "soup 3" and each.target[:3] == "fix")
    assert target == "fix: -\nintent: -\nmeaning: -\nrw: good 3"
    assert parse(target).rewrites == ("good 3",)
    assert len({each.example_id for each in dataset.splits["train"]}) == len(dataset.splits["train"])


def test_what_was_left_out_on_purpose_is_in_the_datasheet(tmp_path: Path) -> None:
    settings = replace(ALL_TRAIN, hints=False, chain=False, tasks=(Task.GENERATION, Task.RELEVANCE), max_rows=12)
    folder = labels(tmp_path / "labels")
    sheet = write_dataset(tmp_path / "dataset", build_dataset([folder], [], settings), [folder], settings)
    told = [words for words in sheet["words"] if words.startswith("left out on purpose")]
    assert [part in words for part, words in zip(("quality", "hints", "'-'"), told, strict=True)] == [True] * 3
    assert sheet["splits"]["train"]["rows"] == 12
    assert sheet["splits"]["train"]["generation"]["with_hints"] == 0
    page = (tmp_path / "dataset" / "DATASHEET.md").read_text("utf-8")
    assert all(words in page for words in told)
    assert "| tasks | generation, relevance |" in page
    assert not any("quality" in words and "nothing to train" in words for words in sheet["words"])


def test_the_rules_of_a_datasheet_can_be_given_again(tmp_path: Path) -> None:
    labels(tmp_path / "labels")
    line = ["dataset", "--labels", str(tmp_path / "labels"), "--min-clients", "1", "--out"]
    rules = ["--holdout-from", "2099-01-01T00:00:00+00:00", "--tasks", "relevance,generation", "--no-chain"]
    main([*line, str(tmp_path / "first"), *rules, "--max-rewrites", "6", "--max-rows", "9"])
    first = json.loads((tmp_path / "first" / "datasheet.json").read_text("utf-8"))
    main([*line, str(tmp_path / "again"), *rule_flags(first["settings"])])
    assert (tmp_path / "again" / "datasheet.json").read_bytes() == (tmp_path / "first" / "datasheet.json").read_bytes()
    assert first["settings"]["max_rewrites"] == 6
    assert first["settings"]["chain"] is False
    assert "--chain" not in rule_flags(json.loads(json.dumps(asdict(DatasetSettings()), default=str)))


@pytest.mark.parametrize("tasks", [(), (Task.QUALITY, Task.QUALITY)])
def test_tasks_are_named_once_each(tasks: tuple[Task, ...]) -> None:
    with pytest.raises(SettingError, match="tasks must be"):
        DatasetSettings(tasks=tasks)
