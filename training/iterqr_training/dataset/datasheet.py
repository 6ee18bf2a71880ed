"""What is in a dataset and why, as JSON: counts, rules, inputs and digests. Nothing in it depends on time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from iterqr_proto.rewrite_format import FORMAT_VERSION, SCORING_VERSION, parse

from iterqr_training.dataset.ablated import NOTHING
from iterqr_training.dataset.build import Dataset
from iterqr_training.dataset.examples import Example
from iterqr_training.dataset.rows import SPLITS, Band, LabelSource, Task
from iterqr_training.dataset.settings import DatasetSettings
from iterqr_training.dataset.splits import TEST, TRAIN
from iterqr_training.labels.label_folder import LabelFolder
from iterqr_training.labels.label_report import UPPER_BOUND, agreement_json

SCHEMA = "iterqr-dataset/v1"
_REAL = (LabelSource.CLICK, LabelSource.REFORMULATION, LabelSource.SPELLING, LabelSource.HUMAN)


def datasheet(
    dataset: Dataset, folders: Sequence[LabelFolder], settings: DatasetSettings, files: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Returns datasheet.json.

    Args:
        dataset: What was built.
        folders: Of what.
        settings: By which rules.
        files: sha256 and rows of each file, by name.
    """
    return {
        "schema": SCHEMA,
        "iteration": dataset.newest,
        "is_upper_bound": dataset.is_upper_bound,
        "format_version": FORMAT_VERSION,
        "scoring_version": SCORING_VERSION,
        "words": list(_words(dataset, settings)),
        "files": dict(files),
        "splits": {split: _split(dataset.splits[split]) for split in SPLITS},
        "counts": _counts(dataset),
        "left_out": {reason: count for reason, count in sorted(dataset.left_out.items()) if count},
        "checks": [asdict(each) for each in dataset.checks],
        "agreements": [agreement_json(each) for each in dataset.agreements],
        "settings": {name: _plain(value) for name, value in asdict(settings).items()},
        "inputs": [
            {"folder": Path(each.path).name, "iteration": each.iteration, "labels_sha256": each.digest}
            for each in sorted(folders, key=lambda each: each.iteration)
        ],
    }


def real_click_share(examples: Sequence[Example]) -> float | None:
    """Share of rows of generation that users (clicks, reformulations) or people decided; None without any row."""
    rows = [each for each in examples if each.task is Task.GENERATION]
    real = sum(each.label_source in _REAL for each in rows)
    return real / len(rows) if rows else None


def _words(dataset: Dataset, settings: DatasetSettings) -> Iterator[str]:
    if dataset.is_upper_bound:
        yield UPPER_BOUND
    yield from _ablated(settings)
    yield from (f"{each.name} {_STATES[each.passed]}: {each.words}" for each in dataset.checks)
    for task in settings.tasks:
        rows = [each for each in dataset.splits[TRAIN] if each.task is task]
        if not rows:
            yield f"nothing to train {task} with"
        elif task is not Task.GENERATION and len({each.target for each in rows}) < 2:
            yield f"all training rows of {task} have the answer {rows[0].target}: a model learns only to say it"
    for band in Band:
        queries = {each.query_key for each in dataset.splits[TEST] if each.band is band}
        if len(queries) < settings.min_stratum:
            yield f"{len(queries)} test queries of the {band}: too few to say anything of it"
    if settings.holdout_from is None:
        yield "splits are by query alone: events of one day are in all of them"


def _ablated(settings: DatasetSettings) -> Iterator[str]:
    """What was left out on purpose."""
    if missing := [task for task in Task if task not in settings.tasks]:
        yield f"left out on purpose: all rows of {' and '.join(missing)}"
    if not settings.hints:
        yield "left out on purpose: the hints of all rows, so that their prompts are of the query alone"
    if not settings.chain:
        yield f"left out on purpose: the chains of thought; fix, intent and meaning of every target are {NOTHING!r}"


def _split(examples: Sequence[Example]) -> dict[str, Any]:
    moments = [each.observed_at for each in examples]
    rewrites = [len(parse(each.target).rewrites) for each in examples if each.task is Task.GENERATION]
    decided = Counter(str(each.label_source) for each in examples if each.task is Task.GENERATION)
    share = real_click_share(examples)
    return {
        "rows": len(examples),
        "queries": len({each.query_key for each in examples}),
        "queries_by_band": {band: len({each.query_key for each in examples if each.band is band}) for band in Band},
        "first": min(moments).isoformat() if moments else None,
        "last": max(moments).isoformat() if moments else None,
        "generation": {
            "rewrites": sum(rewrites),
            "decided_by": dict(sorted(decided.items())),
            "real_click_share": None if share is None else round(share, 6),
            "with_hints": sum(bool(each.hints) for each in examples if each.task is Task.GENERATION),
        },
    }


def _counts(dataset: Dataset) -> list[dict[str, Any]]:
    counted = Counter(
        (
            SPLITS.index(split),
            each.task,
            each.kind,
            each.label_source,
            each.band,
            each.iteration,
            "" if each.task is Task.GENERATION else each.target,
        )
        for split in SPLITS
        for each in dataset.splits[split]
    )
    return [
        {
            "split": SPLITS[split],
            "task": task,
            "kind": kind,
            "label_source": source,
            "band": band,
            "iteration": iteration,
            "answer": answer,
            "rows": rows,
        }
        for (split, task, kind, source, band, iteration, answer), rows in sorted(counted.items())
    ]


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    return value.isoformat() if isinstance(value, datetime) else value


_STATES = {True: "passed", False: "FAILED", None: "not judged"}
