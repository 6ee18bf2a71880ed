"""Small datasets and settings for training a tiny Qwen2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from iterqr_training.dataset.rows import EXAMPLES, Task
from iterqr_training.train.dataset_files import Row
from iterqr_training.train.settings import Precision, TrainSettings
from support.tiny_qwen2 import tiny_qwen2

DISHES = ("pho", "ramen", "dal", "pie", "taco", "sushi", "stew", "curry")


def rows(count: int, *, iteration: int = 0, start: int = 0) -> list[Row]:
    """Rows of the three tasks in turn; answers follow from the words, so that they can be learned."""
    made = []
    for number in range(start, start + count):
        dish, task = DISHES[number // 3 % len(DISHES)], list(Task)[number % 3]
        good = number // 3 % 2 == 0
        made.append(
            Row(
                example_id=f"row-{number:03d}",
                task=task,
                query=f"{dish} {number}",
                hints=(f"Big {dish}",) if number % 2 else (),
                subject="" if task is Task.GENERATION else (dish if good else "zzz"),
                target=answer_lines(dish) if task is Task.GENERATION else ("Yes" if good else "No"),
                weight=1.0 + number % 2,
                iteration=iteration,
            )
        )
    return made


def answer_lines(dish: str) -> str:
    """A generation's target."""
    return f"fix: {dish}\nintent: dish\nmeaning: a {dish}\nrw: {dish}"


def write_split(folder: Path, name: str, content: Sequence[Row], **changed: Any) -> Path:  # noqa: ANN401
    """Writes one split; `changed` replaces a column's value in the first row."""
    documents = [
        {
            "example_id": row.example_id,
            "task": str(row.task),
            "query": row.query,
            "query_key": row.query,
            "region": "r",
            "hints": list(row.hints),
            "subject": row.subject,
            "target": row.target,
            "weight": row.weight,
            "label_source": "click",
            "band": "tail",
            "iteration": row.iteration,
            "observed_at": datetime(2026, 1, 1, tzinfo=UTC),
        }
        for row in content
    ]
    if documents:
        documents[0] |= changed
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.parquet"
    pq.write_table(pa.Table.from_pylist(documents, schema=EXAMPLES), file)
    return file


def tiny_settings(folder: Path, **changed: Any) -> TrainSettings:  # noqa: ANN401
    """Settings of a run of a few seconds; writes dataset, base and template below `folder` if they are not there."""
    dataset, base, template = folder / "dataset", folder / "base", folder / "terse.toml"
    if not dataset.exists():
        write_split(dataset, "train", rows(24))
        write_split(dataset, "validation", rows(9, start=100))
    if not base.exists():
        tiny_qwen2(tied=True).save(base)
    template.write_text('format_version = "v1"\ninstruction = "Rewrite."\n', encoding="utf-8")
    settings = TrainSettings(
        dataset=dataset,
        out=folder / "run",
        base=str(base),
        template=str(template),
        precision=Precision.FP32,
        lora_rank=4,
        epochs=2,
        batch_examples=8,
        learning_rate=5e-3,
        validate_every=3,
        save_every=2,
        mlflow="off",
        threads=1,
    )
    return replace(settings, **changed)
