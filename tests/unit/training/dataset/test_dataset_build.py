"""Datasets of labels made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from iterqr_proto.rewrite_format import parse
from iterqr_training.dataset.build import Dataset, build_dataset
from iterqr_training.dataset.dataset_folder import write_dataset
from iterqr_training.dataset.examples import Example
from iterqr_training.dataset.rows import EXAMPLES, SPLITS, LabelSource, Task
from iterqr_training.dataset.settings import DatasetSettings
from iterqr_training.errors import CheckFailedError, SettingError, StoreError
from iterqr_training.labels.label_folder import LabelFolder
from iterqr_training.labels.records import Kind, Label, query_key
from iterqr_training.labels.reference import TRUTH, reference
from support.labelling import NOON, make_chain, make_folder, make_label

ALL_TRAIN = DatasetSettings(test_share=0, validation_share=0)


def rows(dataset: Dataset, task: Task, split: str = "train") -> list[Example]:
    return [each for each in dataset.splits[split] if each.task is task]


def built(tmp_path: Path, *labels: Label, settings: DatasetSettings = ALL_TRAIN) -> Dataset:
    chains = [make_chain(each.query, each.region) for each in labels]
    return build_dataset([make_folder(tmp_path / "labels", labels, chains)], [], settings)


def taught(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    return {each.query: parse(each.target).rewrites for each in rows(dataset, Task.GENERATION)}


def test_a_generation_ends_in_the_best_rewrites(tmp_path: Path) -> None:
    labels = [
        make_label(subject=text, weight=weight) for text, weight in (("a", 0.4), ("b", 0.9), ("c", 0.8), ("d", 0.7))
    ]
    (row,) = rows(built(tmp_path, *labels), Task.GENERATION)
    assert row.target == "fix: pad tai fixed\nintent: dish\nmeaning: what pad tai means\nrw: b\nrw: c\nrw: d"
    assert (row.hints, row.subject) == (("Pad Thai",), "")
    assert row.weight == pytest.approx(0.8)


def test_what_is_not_good_is_not_taught(tmp_path: Path) -> None:
    dataset = built(
        tmp_path,
        make_label(subject="good"),
        make_label(subject="irrelevant", positive=False),
        make_label(subject="clumsy"),
        make_label(subject="clumsy", task=Task.QUALITY, positive=False),
        make_label(subject="Pad-Tai!"),
        make_label(subject="An Item", kind=Kind.ITEM),
    )
    assert taught(dataset) == {"pad tai": ("good",)}


def test_the_other_tasks_ask_about_rewrites_and_items(tmp_path: Path) -> None:
    dataset = built(
        tmp_path,
        make_label(subject="good"),
        make_label(subject="bad", positive=False),
        make_label(subject="A Dish", kind=Kind.ITEM),
        make_label(subject="odd", task=Task.QUALITY, positive=False),
    )
    assert {(each.subject, each.target, each.kind) for each in rows(dataset, Task.RELEVANCE)} == {
        ("good", "Yes", Kind.REWRITE),
        ("bad", "No", Kind.REWRITE),
        ("A Dish", "Yes", Kind.ITEM),
    }
    assert [(each.subject, each.target) for each in rows(dataset, Task.QUALITY)] == [("odd", "No")]


def test_regions_that_contradict_each_other(tmp_path: Path) -> None:
    """The heavier answer counts; as much yes as no is nothing."""
    dataset = built(
        tmp_path,
        make_label(subject="x", region="north"),
        make_label(subject="x", region="south", positive=False, weight=0.5),
        make_label(subject="y", region="north"),
        make_label(subject="y", region="south", positive=False),
    )
    assert [(each.subject, each.target) for each in rows(dataset, Task.RELEVANCE)] == [("x", "Yes")]
    assert dataset.left_out["relevance: as much yes as no"] == 1


@pytest.mark.parametrize(
    "label",
    [
        make_label(clients=2),
        make_label("mail ann@example.com"),
        make_label(subject="call 0171 555 0123"),
    ],
)
def test_private_labels_are_left_out(tmp_path: Path, label: Label) -> None:
    dataset = built(tmp_path, label)
    assert not any(dataset.splits.values())
    assert sum(dataset.left_out.values()) == 1


def test_a_chain_that_may_name_a_person_is_left_out(tmp_path: Path) -> None:
    chain = replace(make_chain(), meaning="pizza to 12 baker street")
    folder = make_folder(tmp_path / "labels", [make_label()], [chain])
    dataset = build_dataset([folder], [], ALL_TRAIN)
    assert not rows(dataset, Task.GENERATION)
    assert len(rows(dataset, Task.RELEVANCE)) == 1


def test_people_may_label_queries_that_nobody_logged(tmp_path: Path) -> None:
    dataset = built(tmp_path, make_label(clients=0, source=LabelSource.HUMAN))
    assert len(rows(dataset, Task.RELEVANCE)) == 1


def test_without_a_chain_there_is_no_generation_and_it_is_counted(tmp_path: Path) -> None:
    dataset = build_dataset([make_folder(tmp_path / "labels", [make_label()])], [], ALL_TRAIN)
    assert not rows(dataset, Task.GENERATION)
    assert dataset.left_out["generation: no chain of thought"] == 1


def test_the_newest_label_counts_but_people_stay(tmp_path: Path) -> None:
    old = [make_label(subject="a"), make_label(subject="b", source=LabelSource.HUMAN)]
    new = [make_label(subject="a", positive=False), make_label(subject="b", positive=False)]
    folders = [make_folder(tmp_path / "2", new, iteration=2), make_folder(tmp_path / "1", old, iteration=1)]
    dataset = build_dataset(folders, [], ALL_TRAIN)
    found = {each.subject: (each.target, each.iteration) for each in rows(dataset, Task.RELEVANCE)}
    assert found == {"a": ("No", 2), "b": ("Yes", 1)}


def test_time_splits_too(tmp_path: Path) -> None:
    """Early and late labels of forty queries: tests are late, the others early, and nothing is in between."""
    labels = [make_label(f"query {n}", observed_at=NOON + timedelta(days=late)) for n in range(40) for late in (n % 2,)]
    settings = DatasetSettings(test_share=0.4, validation_share=0.2, holdout_from=NOON + timedelta(hours=12))
    dataset = built(tmp_path, *labels, settings=settings)
    times = {split: {each.observed_at for each in dataset.splits[split]} for split in SPLITS}
    assert times == {"train": {NOON}, "validation": {NOON}, "test": {NOON + timedelta(days=1)}}
    assert dataset.left_out["on the other side of holdout_from"] > 0


def flipped(labels: list[Label]) -> list[Label]:
    return [replace(each, positive=not each.positive) for each in labels]


def many() -> list[Label]:
    return [
        make_label(f"query {n}", subject, positive=subject == "good") for n in range(40) for subject in ("good", "bad")
    ]


def test_a_flipped_dataset_is_refused_by_name(tmp_path: Path) -> None:
    truth = reference(TRUTH, [replace(each, source=LabelSource.TRUTH) for each in many()])
    chains = [make_chain(f"query {n}") for n in range(40)]
    right = build_dataset([make_folder(tmp_path / "right", many(), chains)], [truth], ALL_TRAIN)
    assert [each.passed for each in right.checks] == [True, True]
    wrong = make_folder(tmp_path / "wrong", flipped(many()), chains)
    with pytest.raises(
        CheckFailedError, match=r"label_agreement: dataset, relevance of rewrites: kappa -1.00"
    ) as error:
        build_dataset([wrong], [truth], ALL_TRAIN)
    assert "label_agreement: " in str(error.value)
    assert "0% of 40 rewrites to generate are good by simulator's truth" in str(error.value)


def test_labels_that_failed_their_check_are_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "labels", many(), failed="final: kappa -0.9")
    with pytest.raises(CheckFailedError, match=r"kappa -0\.9"):
        build_dataset([folder], [], ALL_TRAIN)


def test_truth_is_learned_only_by_an_experiment_that_says_so(tmp_path: Path) -> None:
    labels = [replace(each, source=LabelSource.TRUTH) for each in many()]
    with pytest.raises(SettingError, match="has labels of truth without being an upper-bound experiment"):
        build_dataset([make_folder(tmp_path / "a", labels)], [], ALL_TRAIN)
    folder = make_folder(tmp_path / "b", labels, [make_chain("query 1")], upper_bound=True)
    dataset = build_dataset([folder], [], ALL_TRAIN)
    sheet = write_dataset(tmp_path / "dataset", dataset, [folder], ALL_TRAIN)
    assert sheet["is_upper_bound"]
    assert "UPPER BOUND" in (tmp_path / "dataset" / "DATASHEET.md").read_text("utf-8")
    assert {each.label_source for each in dataset.splits["train"]} == {LabelSource.TRUTH}


def test_two_folders_of_one_iteration(tmp_path: Path) -> None:
    folders = [make_folder(tmp_path / name, many()) for name in ("a", "b")]
    with pytest.raises(SettingError, match="two folders are of one iteration"):
        build_dataset(folders, [], ALL_TRAIN)


def folder_of_many(tmp_path: Path) -> LabelFolder:
    return make_folder(tmp_path / "labels", many(), [make_chain(f"query {n}") for n in range(40)])


def test_the_same_labels_give_the_same_bytes(tmp_path: Path) -> None:
    folder, settings = folder_of_many(tmp_path), DatasetSettings()
    written = []
    for name in ("one", "two"):
        write_dataset(tmp_path / name, build_dataset([folder], [], settings), [folder], settings)
        written.append({file.name: file.read_bytes() for file in sorted((tmp_path / name).iterdir())})
    assert written[0] == written[1]
    assert sorted(written[0]) == ["DATASHEET.md", "datasheet.json", *sorted(f"{split}.parquet" for split in SPLITS)]


def test_the_datasheet_counts_what_is_in_the_files(tmp_path: Path) -> None:
    folder, settings = folder_of_many(tmp_path), DatasetSettings()
    write_dataset(tmp_path / "dataset", build_dataset([folder], [], settings), [folder], settings)
    sheet = json.loads((tmp_path / "dataset" / "datasheet.json").read_text("utf-8"))
    for split in SPLITS:
        table = pq.read_table(tmp_path / "dataset" / f"{split}.parquet")
        assert table.schema.equals(EXAMPLES)
        assert table.num_rows == sum(each["rows"] for each in sheet["counts"] if each["split"] == split) > 0
        assert sheet["files"][f"{split}.parquet"]["rows"] == table.num_rows
        assert len(set(table["example_id"].to_pylist())) == table.num_rows
    assert sheet["splits"]["train"]["generation"]["real_click_share"] == 1
    assert any("test queries of the head: too few" in words for words in sheet["words"])
    assert sheet["inputs"] == [{"folder": "labels", "iteration": 0, "labels_sha256": folder.digest}]


def test_what_users_searched_for_is_as_real_as_what_they_clicked(tmp_path: Path) -> None:
    sources = (LabelSource.CLICK, LabelSource.REFORMULATION, LabelSource.JUDGE, LabelSource.JUDGE)
    labels = [make_label(f"query {n}", "good", source=source) for n, source in enumerate(sources)]
    folder = make_folder(tmp_path / "labels", labels, [make_chain(f"query {n}") for n in range(len(sources))])
    strict = DatasetSettings(test_share=0, validation_share=0, click_floor=0.6)
    dataset = build_dataset([folder], [], strict)
    sheet = write_dataset(tmp_path / "dataset", dataset, [folder], strict)
    told = sheet["splits"]["train"]["generation"]
    assert told["decided_by"] == {"click": 1, "judge": 1, "reformulation": 1}
    assert told["real_click_share"] == pytest.approx(2 / 3, abs=1e-6)
    assert "| generation | rewrite | reformulation |" in (tmp_path / "dataset" / "DATASHEET.md").read_text("utf-8")


def test_a_held_out_query_is_no_example_even_where_others_searched_for_it_next(tmp_path: Path) -> None:
    wanted = make_label("noodle dish", "pad tai", source=LabelSource.REFORMULATION)
    labels = [wanted, replace(wanted, task=Task.QUALITY), make_label("Pad-Tai", "noodle dish")]
    folder = make_folder(tmp_path / "labels", labels, [make_chain("noodle dish"), make_chain("Pad-Tai")])
    dataset = build_dataset([folder], [], ALL_TRAIN, held_out={query_key("pad tai")})
    assert {(each.task, each.query) for each in dataset.splits["train"]} == {(task, "noodle dish") for task in Task}


def test_a_new_dataset_takes_the_place_of_the_old_but_of_nothing_else(tmp_path: Path) -> None:
    folder = folder_of_many(tmp_path)
    dataset = build_dataset([folder], [], ALL_TRAIN)
    for _ in range(2):
        write_dataset(tmp_path / "dataset", dataset, [folder], ALL_TRAIN)
    assert {each.name for each in tmp_path.iterdir()} == {"labels", "dataset"}
    with pytest.raises(StoreError, match="is not empty and no dataset"):
        write_dataset(tmp_path / "labels", dataset, [folder], ALL_TRAIN)


def test_queries_that_are_measured_on_are_in_no_split_and_counted(tmp_path: Path) -> None:
    labels = [make_label(query=query) for query in ("chiken soup", "pad thai")]
    folder = make_folder(tmp_path / "labels", labels)
    dataset = build_dataset([folder], [], ALL_TRAIN, {query_key("Chiken  SOUP")})
    kept = {each.query_key for examples in dataset.splits.values() for each in examples}
    assert kept == {query_key("pad thai")}
    assert dataset.left_out["query is held out to measure on"] == 1
