"""`iterqr-train dataset`: from labels of all iterations to training, validation and test examples."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from iterqr_training.commands.step_progress import StepProgress
from iterqr_training.commands.task_names import task_list
from iterqr_training.dataset.build import build_dataset
from iterqr_training.dataset.dataset_folder import write_dataset
from iterqr_training.dataset.rows import SPLITS, Task
from iterqr_training.dataset.settings import DatasetSettings
from iterqr_training.evaluate.truth import read_truth as read_queries
from iterqr_training.labels.label_folder import read_label_folder
from iterqr_training.labels.records import query_key
from iterqr_training.labels.reference import references_of

_HELP = "make a training dataset of the labels of all iterations"
_NON_TERMINAL_WIDTH = 160
_EXAMPLES = """\
examples:
  iterqr-train dataset --labels build/labels --out build/dataset
  iterqr-train dataset --labels loop/1/labels --labels loop/2/labels --out loop/2/dataset --replay-share 0.3
  iterqr-train dataset --labels build/labels --out build/dataset --holdout-from 2026-03-20T00:00:00+00:00
  iterqr-train dataset --labels build/labels --out build/dataset --exclude heldout.jsonl --exclude validation.jsonl
  iterqr-train dataset --labels build/labels --out build/dataset --human judged.csv     check the finished rows, too
  iterqr-train dataset --labels build/labels --out build/small --max-rows 300 --tasks generation --no-hints --no-chain

Writes train, validation and test.parquet, datasheet.json and DATASHEET.md. The same labels give the same bytes. Labels,
or finished rows, that fail the check label_agreement are refused. --tasks, --no-hints and --no-chain leave out what an
ablation is to measure; the datasheet says so.
"""
_DEFAULTS = DatasetSettings()
_MEANINGS = {
    "min_clients": "different clients behind a query at least",
    "validation_share": "of queries",
    "test_share": "of queries",
    "salt": "decides on splits; keep it over all iterations",
    "holdout_from": "ISO 8601: train on what was before, test on what came from then on (default: by query alone)",
    "max_rewrites": "of an example of generation",
    "max_rows_a_query": "examples of generation of a query",
    "max_pairs_a_query": "examples of a query and its rewrites in each other task",
    "max_items_a_query": "examples of a query and items",
    "max_rows_a_task": "training rows of a task, drawn evenly from bands and answers; 0: all",
    "max_generation_rows": "of generation, another number than of the other tasks; 0: as of them",
    "max_rows": "training rows of all tasks, as many of each as it has; 0: all",
    "tasks": "of which there are rows",
    "hints": "leave out the hints of all rows",
    "chain": "leave out the chains of thought: fix, intent and meaning say -, because the format wants the lines",
    "click_floor": "share of rows of generation that users or people decide at least",
    "replay_share": "of training rows that earlier iterations may have",
    "min_stratum": "test queries of a band, below which it is told of",
    "min_label_kappa": "agreement below which the dataset is refused",
    "min_reference": "pairs to judge that by",
    "seed": "of the intervals",
}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """See `Command`."""
    parser = subparsers.add_parser(
        "dataset", help=_HELP, description=_HELP, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(command=run)
    parser.add_argument(
        "--labels", type=Path, action="append", required=True, metavar="FOLDER", help="of an iteration; may be repeated"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of the dataset")
    parser.add_argument("--human", type=Path, action="append", default=[], metavar="FILE", help="to compare with")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="a simulator's, to compare with")
    parser.add_argument(
        "--exclude",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="truth set of `evaluate`: its queries are in no split; may be repeated",
    )
    rules = parser.add_argument_group("rules")
    for each in fields(DatasetSettings):
        default = getattr(_DEFAULTS, each.name)
        flag = each.name.replace("_", "-")
        if isinstance(default, bool):
            rules.add_argument(f"--no-{flag}", dest=each.name, action="store_false", help=_MEANINGS[each.name])
            continue
        if each.name == "tasks":
            text = f"{_MEANINGS[each.name]} (default {','.join(Task)})"
            rules.add_argument("--tasks", type=task_list, default=default, metavar="LIST", help=text)
            continue
        is_time = each.name == "holdout_from"
        rules.add_argument(
            f"--{flag}",
            type=_time if is_time else type(default),
            default=default,
            metavar="TIME" if is_time else {int: "N", float: "X", str: "TEXT"}[type(default)],
            help=_MEANINGS[each.name] + ("" if is_time else f" (default {default})"),
        )


def run(options: argparse.Namespace, console: Console) -> int:
    """See `Command`."""
    settings = DatasetSettings(**{each.name: getattr(options, each.name) for each in fields(DatasetSettings)})
    references = references_of(options.human, options.truth)
    held_out = {query_key(each.query) for file in options.exclude for each in read_queries(file)}
    with StepProgress(console) as progress:
        on_read = progress.start("labels", len(options.labels))
        folders = []
        for path in options.labels:
            folders.append(read_label_folder(path))
            on_read(1)
        progress.start("examples", None)
        dataset = build_dataset(folders, references, settings, held_out)
        progress.start("files", None)
        sheet = write_dataset(options.out, dataset, folders, settings)
    if not console.is_terminal:
        console = Console(file=console.file, width=_NON_TERMINAL_WIDTH)
    console.print(_table(sheet["counts"]))
    for words in sheet["words"]:
        console.print(f"• {words}", highlight=False, markup=False)
    console.print(_left_out(sheet["left_out"]), highlight=False, markup=False)
    console.print(str(options.out / "DATASHEET.md"), highlight=False, markup=False, soft_wrap=True)
    return 0


def rule_flags(rules: Mapping[str, Any]) -> list[str]:
    """Returns the flags that give the rules which a datasheet names under `settings`."""
    line = []
    for each in fields(DatasetSettings):
        value, flag = rules.get(each.name), each.name.replace("_", "-")
        if isinstance(value, bool):
            line += [] if value else [f"--no-{flag}"]
        elif value is not None:
            line += [f"--{flag}", ",".join(value) if isinstance(value, list) else str(value)]
    return line


def _table(counts: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="examples")
    for name in ("task", "of", "decided by", "band", "answer"):
        table.add_column(name)
    for split in SPLITS:
        table.add_column(split, justify="right")
    rows: Counter[tuple[str, ...]] = Counter()
    for each in counts:
        rows[each["task"], each["kind"], each["label_source"], each["band"], each["answer"], each["split"]] += each[
            "rows"
        ]
    for key in sorted({key[:5] for key in rows}):
        table.add_row(*key, *(f"{rows[(*key, split)]:,}" for split in SPLITS))
    return table


def _left_out(left_out: Mapping[str, int]) -> str:
    return "left out: " + ("; ".join(f"{count:,} {reason}" for reason, count in left_out.items()) or "nothing")


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time in ISO 8601") from None
