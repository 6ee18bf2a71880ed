"""Files of labels, the same for people, judges and clicks: JSON lines or CSV with a header.

| field | |
|---|---|
| task | `quality` or `relevance`; required |
| query | 1 to 256 characters; required |
| subject | the rewrite (1 to 120 characters) or the item's title (1 to 256); required |
| label | `yes` or `no`; required |
| kind | `rewrite` (default) or `item`; items have labels of relevance only |
| region | up to 64 characters; empty, the default: every region |
| weight | above 0, at most 1 (default 1) |
| source | `human` (default), `click`, `reformulation`, `spelling`, `judge` or `truth` |
| observed_at | ISO 8601 with a time zone |
| band | `head`, `torso` or `tail` (default) |
| clients | whole number, 0 or more: who searched with the query; of a reformulation or spelling the fewer of both |

Unknown fields are errors. A file is read whole or not at all.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from iterqr_proto.rewrite_format import clean_text, normalize_query

from iterqr_training.dataset.rows import Band, LabelSource, Task
from iterqr_training.errors import LabelFileError
from iterqr_training.labels.records import EPOCH, MAX_QUERY_CHARS, Kind, Label, max_chars

FIELDS = ("task", "query", "subject", "label", "kind", "region", "weight", "source", "observed_at", "band", "clients")
_REQUIRED = FIELDS[:4]
_MAX_REGION_CHARS = 64
_MAX_CLIENTS = 2**53


def read_labels(path: Path, only: LabelSource | None = None) -> tuple[Label, ...]:
    """Reads `*.csv` as CSV and anything else as JSON lines; blank lines are none.

    Args:
        path: Of the file.
        only: The source that every label must have.

    Raises:
        LabelFileError: It cannot be read, or a line breaks the format; the message has the line's number and the field.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = _csv_lines(file, path) if path.suffix.lower() == ".csv" else _json_lines(file, path)
            return tuple(_label(row, f"{path}: line {number}", only) for number, row in lines)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LabelFileError(f"{path}: {error}") from error


def label_line(label: Label) -> str:
    """Returns a label as one JSON line, without the line break."""
    return json.dumps(
        {
            "task": label.task,
            "query": label.query,
            "subject": label.subject,
            "label": "yes" if label.positive else "no",
            "kind": label.kind,
            "region": label.region,
            "weight": label.weight,
            "source": label.source,
            "observed_at": label.observed_at.astimezone(UTC).isoformat(),
            "band": label.band,
            "clients": label.clients,
        },
        ensure_ascii=False,
    )


def _json_lines(file: Iterable[str], path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise LabelFileError(f"{path}: line {number}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise LabelFileError(f"{path}: line {number}: must be a JSON object")
        yield number, row


def _csv_lines(file: Iterable[str], path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(file, strict=True)
    if missing := [name for name in _REQUIRED if name not in (reader.fieldnames or ())]:
        raise LabelFileError(f"{path}: line 1: lacks the column {missing[0]}")
    for row in reader:
        where = f"{path}: line {reader.line_num}"
        if None in row or None in row.values():
            raise LabelFileError(f"{where}: has not as many fields as the header")
        told: dict[str, Any] = {name: value for name, value in row.items() if value}
        for name, read in (("weight", float), ("clients", int)):
            if name in told:
                try:
                    told[name] = read(told[name])
                except ValueError as error:
                    raise LabelFileError(f"{where}: {name}: must be a number, is {told[name]!r}") from error
        yield reader.line_num, told


def _label(row: Mapping[str, Any], where: str, only: LabelSource | None) -> Label:
    if unknown := sorted(row.keys() - set(FIELDS)):
        raise LabelFileError(f"{where}: unknown field {unknown[0]!r}")
    for name in _REQUIRED:
        if name not in row:
            raise LabelFileError(f"{where}: {name}: is required")
    kind = Kind(_choice(row, "kind", tuple(Kind), Kind.REWRITE, where))
    task = Task(_choice(row, "task", (Task.QUALITY, Task.RELEVANCE), "", where))
    if kind is Kind.ITEM and task is not Task.RELEVANCE:
        raise LabelFileError(f"{where}: task: must be relevance for an item")
    return Label(
        task=task,
        query=normalize_query(_text(row, "query", 1, MAX_QUERY_CHARS, where)),
        region=_text(row, "region", 0, _MAX_REGION_CHARS, where),
        subject=_text(row, "subject", 1, max_chars(kind), where),
        kind=kind,
        positive=_choice(row, "label", ("yes", "no"), "", where) == "yes",
        weight=_weight(row, where),
        source=LabelSource(_choice(row, "source", (only,) if only else tuple(LabelSource), LabelSource.HUMAN, where)),
        observed_at=_time(row, where),
        band=Band(_choice(row, "band", tuple(Band), Band.TAIL, where)),
        clients=_clients(row, where),
    )


def _text(row: Mapping[str, Any], name: str, least: int, most: int, where: str) -> str:
    value = row.get(name, "")
    cleaned = clean_text(value) if isinstance(value, str) else None
    if cleaned is None or not least <= len(cleaned) <= most:
        raise LabelFileError(f"{where}: {name}: must be a string of {least} to {most} characters")
    return cleaned


def _choice(row: Mapping[str, Any], name: str, choices: tuple[str, ...], default: str, where: str) -> str:
    value = row.get(name, default)
    if value not in choices or not isinstance(value, str):
        raise LabelFileError(f"{where}: {name}: must be one of {', '.join(choices)}, is {value!r}")
    return value


def _weight(row: Mapping[str, Any], where: str) -> float:
    value = row.get("weight", 1.0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise LabelFileError(f"{where}: weight: must be a number above 0, at most 1, is {value!r}")
    return float(value)


def _clients(row: Mapping[str, Any], where: str) -> int:
    value = row.get("clients", 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_CLIENTS:
        raise LabelFileError(f"{where}: clients: must be a whole number, 0 or more, is {value!r}")
    return value


def _time(row: Mapping[str, Any], where: str) -> datetime:
    value = row.get("observed_at")
    if value is None:
        return EPOCH
    try:
        told = datetime.fromisoformat(value)
        if told.tzinfo is not None:
            return told.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        pass
    raise LabelFileError(f"{where}: observed_at: must be a time in ISO 8601 with a zone, is {value!r}")
