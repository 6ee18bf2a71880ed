"""Reads what the detectors look at from evaluations."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iterqr_training.errors import StoreError
from iterqr_training.loop.health import Reading


def read_reading(file: Path, system: str, name: str) -> Reading:
    """Reads one system's measures of `evaluation.json`.

    Args:
        file: Of `iterqr-train evaluate`.
        system: Which.
        name: Of the checkpoint, for people.

    Raises:
        StoreError: It cannot be read, or the system was not evaluated.
    """
    try:
        document: Any = json.loads(file.read_text("utf-8"))
        found = next(each for each in document["systems"] if each["name"] == system)
        values, variety = found["bands"]["all"]["values"], found["variety"]
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise StoreError(f"{file} has no evaluation of {system!r}: {error!r}") from error
    return Reading(
        name,
        empty_rate=_value(values, "empty_rate"),
        drift=_value(values, "drift"),
        distinct_2=math.nan if variety["distinct_2"] is None else float(variety["distinct_2"]),
        novelty=_value(values, "novelty"),
    )


def _value(values: Mapping[str, Any], measure: str) -> float:
    value = values.get(measure, {}).get("value")
    return math.nan if value is None else float(value)
