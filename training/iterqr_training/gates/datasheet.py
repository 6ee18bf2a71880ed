"""What a dataset's datasheet, or the labels' own report, says of the agreement of labels with a reference.

    {"agreements": [{"labels": "final", "reference": "human", "task": "relevance", "kappa": {"value": 0.61}}]}

Agreements may stand anywhere in the document; `kappa` is a number, or an estimate with its `value`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from iterqr_training.errors import StoreError

_LEARNED_FROM = "final"  # as opposed to what clicks or a judge alone say, which may have been left out


def label_kappa(file: Path) -> float:
    """Returns the least kappa of labels that were learned from; NaN if none is told.

    Raises:
        StoreError: It cannot be read.
    """
    try:
        document: Any = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{file} cannot be read: {error}") from error
    return min(_kappas(document), default=math.nan)


def _kappas(part: Any) -> Iterator[float]:  # noqa: ANN401 - JSON
    if isinstance(part, dict):
        kappa = part.get("kappa")
        value = kappa.get("value") if isinstance(kappa, dict) else kappa
        if isinstance(value, (int, float)) and part.get("labels", _LEARNED_FROM) == _LEARNED_FROM:
            yield float(value)
        for each in part.values():
            yield from _kappas(each)
    elif isinstance(part, list):
        for each in part:
            yield from _kappas(each)
