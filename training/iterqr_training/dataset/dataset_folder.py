"""A dataset as a folder: three Parquet files, datasheet.json and DATASHEET.md; whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from iterqr_training.dataset.build import Dataset
from iterqr_training.dataset.datasheet import datasheet
from iterqr_training.dataset.datasheet_page import datasheet_page
from iterqr_training.dataset.examples import Example
from iterqr_training.dataset.rows import EXAMPLES, SPLITS
from iterqr_training.dataset.settings import DatasetSettings
from iterqr_training.errors import StoreError
from iterqr_training.labels.label_folder import LabelFolder

DATASHEET, PAGE = "datasheet.json", "DATASHEET.md"


def write_dataset(
    folder: Path, dataset: Dataset, inputs: Sequence[LabelFolder], settings: DatasetSettings
) -> Mapping[str, Any]:
    """Writes the dataset under a temporary name and renames it; an older dataset there gives way.

    Returns:
        The datasheet.

    Raises:
        StoreError: The folder cannot be written, or has something else in it.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / DATASHEET).is_file():
        raise StoreError(f"{folder} is not empty and no dataset; give another folder")
    partial, old = (folder.with_name(f".{folder.name}.{suffix}") for suffix in ("partial", "old"))
    try:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
        partial.mkdir(parents=True)
        files = {}
        for split in SPLITS:
            file = partial / f"{split}.parquet"
            pq.write_table(example_table(dataset.splits[split]), file, compression="zstd")
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            files[file.name] = {"sha256": digest, "rows": len(dataset.splits[split])}
        sheet = datasheet(dataset, inputs, settings, files)
        (partial / DATASHEET).write_text(json.dumps(sheet, indent=2, ensure_ascii=False) + "\n", "utf-8")
        (partial / PAGE).write_text(datasheet_page(sheet), "utf-8")
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error}") from error
    return sheet


def example_table(examples: Sequence[Example]) -> pa.Table:
    """Returns rows of `EXAMPLES`."""
    names = [each.name for each in fields(Example) if each.name in EXAMPLES.names]
    rows = [
        {"example_id": each.example_id, **{name: getattr(each, name) for name in names}, "hints": list(each.hints)}
        for each in examples
    ]
    return pa.Table.from_pylist(rows, schema=EXAMPLES)
