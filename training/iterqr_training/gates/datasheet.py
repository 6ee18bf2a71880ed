"""What a dataset's datasheet, or the labels' own report, says of the agreement of labels with a reference.

    {"agreements": [{"labels": "dataset", "reference": "human labels", "pairs": 210, "kappa": 0.61}],
     "checks": [{"name": "label_agreement", "passed": true, "words": "..."}]}

`iterqr-train dataset` writes datasheet.json so, and `iterqr-train label` labels.json.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iterqr_training.errors import StoreError

MIN_PAIRS = 30  # as `iterqr-train dataset` has it by default
_LEARNED_FROM = ("dataset", "final")  # as opposed to what clicks or a judge alone say, which may have been left out
_CHECK = "label_agreement"


@dataclass(frozen=True, slots=True)
class LabelAgreement:
    """Of the labels that were learned from.

    `kappa`: the least of those over `MIN_PAIRS` pairs or more; NaN if there is none. `failed`: what checks that did not
    pass say.
    """

    kappa: float = math.nan
    failed: tuple[str, ...] = ()


def read_label_agreement(file: Path) -> LabelAgreement:
    """Reads it.

    Raises:
        StoreError: The file cannot be read, or is none of these.
    """
    try:
        document: Any = json.loads(file.read_text("utf-8"))
        kappas = [
            float(each["kappa"])
            for each in document.get("agreements", [])
            if each["labels"] in _LEARNED_FROM and each["pairs"] >= MIN_PAIRS and each["kappa"] is not None
        ]
        failed = [
            str(each["words"])
            for each in document.get("checks", [])
            if each["name"] == _CHECK and each["passed"] is False
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{file} cannot be read as a datasheet: {error!r}") from error
    return LabelAgreement(min(kappas, default=math.nan), tuple(failed))
