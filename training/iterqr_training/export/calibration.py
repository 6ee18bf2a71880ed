"""The texts that ModelOpt sees while it measures activations: prompts and answers as the server will meet them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
from iterqr_proto.rewrite_format import RewriteInput, Template, render

from iterqr_training.dataset.rows import Task
from iterqr_training.errors import ExportError

_COLUMNS = ["task", "query", "hints", "target"]


def calibration_texts(dataset: Path, template: Template, *, count: int, seed: int) -> Sequence[str]:
    """Returns at most `count` whole texts, prompt and target, of a dataset's generation examples, drawn by `seed`.

    Raises:
        ExportError: The folder is no dataset, or has no such examples.
    """
    file = dataset / "train.parquet"
    try:
        rows = pq.read_table(file, columns=_COLUMNS).to_pylist()
    except (OSError, ValueError) as error:
        raise ExportError(f"--dataset: {file} cannot be read: {error}") from error
    examples = [row for row in rows if row["task"] == Task.GENERATION]
    if not examples:
        raise ExportError(f"--dataset: {file} has no examples of task {Task.GENERATION}")
    chosen = random.Random(seed).sample(examples, min(count, len(examples)))
    return [_text(row["query"], tuple(row["hints"] or ()), row["target"], template) for row in chosen]


def _text(query: str, hints: tuple[str, ...], target: str, template: Template) -> str:
    prompt = render(template, RewriteInput(query, hints))
    return "".join(segment.text for segment in (*prompt.prefix, *prompt.suffix)) + target
