"""The report as JSON."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from iterqr_benchmarks.report.model import Report

SCHEMA = "iterqr-demo-report/v1"


def report_json(report: Report) -> str:
    """Returns the report as a JSON document: the same names as in `Report`, sets as sorted lists."""
    return json.dumps({"schema": SCHEMA, **plain_data(report)}, indent=2, ensure_ascii=False) + "\n"


def plain_data(value: Any) -> Any:  # noqa: ANN401 - any part of a report
    """Turns frozen dataclasses, tuples and sets into dicts and lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain_data(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain_data(each) for key, each in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, (list, tuple)):
        return [plain_data(each) for each in value]
    return value


def write_whole(file: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)
