"""What labels are compared with: people's labels, or a simulator's truth, which is never learned from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from iterqr_proto.rewrite_format import normalize_query

from iterqr_training.dataset.rows import LabelSource, Task
from iterqr_training.errors import LabelFileError
from iterqr_training.experiments.rewrite_exposure import REWRITE_TRUTH
from iterqr_training.labels.label_files import read_labels
from iterqr_training.labels.records import Kind, Label, Pair

HUMAN, TRUTH = "human labels", "simulator's truth"


@dataclass(frozen=True, slots=True)
class Reference:
    """Yes or no by task and pair. `conflicts`: pairs of which as many say yes as no, which are left out."""

    name: str
    answers: Mapping[tuple[Task, Pair], bool]
    labels: tuple[Label, ...]
    conflicts: int = 0


def references_of(human: Sequence[Path], truth: Path | None) -> list[Reference]:
    """Reads what people labelled, all files as one reference, and a simulator's truth, where they are given.

    Raises:
        LabelFileError: A file breaks its format.
    """
    found = []
    if human:
        found.append(reference(HUMAN, [label for file in human for label in read_labels(file, LabelSource.HUMAN)]))
    if truth:
        found.append(read_truth(truth))
    return found


def reference(name: str, labels: Iterable[Label]) -> Reference:
    """Makes a reference of labels; of several for one pair the majority counts."""
    kept = tuple(labels)
    votes: dict[tuple[Task, Pair], int] = defaultdict(int)
    for each in kept:
        votes[each.task, each.pair] += 1 if each.positive else -1
    answers = {key: balance > 0 for key, balance in votes.items() if balance}
    return Reference(name, answers, kept, len(votes) - len(answers))


def read_truth(path: Path) -> Reference:
    """Reads a simulator's truth: `*.parquet` of `REWRITE_TRUTH`, else a file of labels whose source is truth.

    Raises:
        LabelFileError: It cannot be read, or is not of that form.
    """
    if path.suffix.lower() != ".parquet":
        return reference(TRUTH, read_labels(path, LabelSource.TRUTH))
    try:
        rows = pq.read_table(path, columns=REWRITE_TRUTH.schema.names).cast(REWRITE_TRUTH.schema).to_pylist()
    except (OSError, pa.ArrowException, KeyError) as error:
        raise LabelFileError(f"{path}: {error}") from error
    return reference(
        TRUTH,
        (
            Label(
                Task.RELEVANCE,
                normalize_query(row["normalized_query"]),
                "",
                row["rewrite_text"],
                Kind.REWRITE,
                bool(row["good"]),
                1.0,
                LabelSource.TRUTH,
            )
            for row in rows
        ),
    )
