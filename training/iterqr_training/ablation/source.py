"""The iteration of a loop whose labels an ablation learns from. It is read, and never written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iterqr_training.dataset.dataset_folder import DATASHEET
from iterqr_training.errors import RunError, StoreError
from iterqr_training.files import read_json
from iterqr_training.labels.label_folder import ABOUT
from iterqr_training.loop.folders import LoopFolder


@dataclass(frozen=True, slots=True)
class SourceIteration:
    """What the dataset of an iteration was made of, and how.

    Attributes:
        number: Of the iteration.
        labels: Folders of labels.
        rules: `DatasetSettings` as its datasheet has them.
        datasheet_sha256: Of its datasheet, and so of labels and rules.
    """

    number: int
    labels: tuple[Path, ...]
    rules: Mapping[str, Any]
    datasheet_sha256: str


def find_source(loop: Path, number: int | None = None) -> SourceIteration:
    """Returns an iteration of a loop; without a number, the latest that has a dataset.

    Raises:
        RunError: There is none, or it has no dataset.
        StoreError: Its datasheet cannot be read, or labels are not those that it names.
    """
    folder = LoopFolder(loop)
    if number is None:
        every = [int(each.name) for each in (loop / "iterations").glob("*") if each.name.isdigit()]
        with_dataset = [each for each in every if _datasheet(folder, each).is_file()]
        if not with_dataset:
            raise RunError(f"{loop} has no iteration with a dataset; `make loop` makes one")
        number = max(with_dataset)
    file = _datasheet(folder, number)
    if not file.is_file():
        raise RunError(f"iteration {number} of {loop} has no dataset: {file} is not there")
    sheet = read_json(file)
    try:
        inputs = {folder.iteration(int(each["iteration"])).labels: each["labels_sha256"] for each in sheet["inputs"]}
        rules = dict(sheet["settings"])
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{file} is no datasheet: {error!r}") from error
    for labels, digest in inputs.items():
        if _sha256(labels / ABOUT) != digest:
            raise StoreError(f"{labels} are not the labels that {file} names: they were written again since")
    return SourceIteration(number, tuple(inputs), rules, _sha256(file))


def _datasheet(folder: LoopFolder, number: int) -> Path:
    return folder.iteration(number).dataset / DATASHEET


def _sha256(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error}") from error
