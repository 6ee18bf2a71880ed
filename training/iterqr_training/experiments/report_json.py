"""The report as JSON, for programs."""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass
from datetime import date
from enum import IntEnum
from typing import Any

from iterqr_training.experiments.report_model import ExperimentReport

SCHEMA = "iterqr-experiment-report/v1"


def report_json(report: ExperimentReport) -> str:
    """Returns the report as a JSON document: the names of `ExperimentReport`; null for what is not defined."""
    return json.dumps({"schema": SCHEMA, **_plain(report)}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:  # noqa: ANN401 - any part of a report
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, IntEnum):
        return value.name.lower()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value.isoformat() if isinstance(value, date) else value
