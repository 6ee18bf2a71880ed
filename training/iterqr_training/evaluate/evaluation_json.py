"""The evaluation as JSON, for programs: written for the report, read by gates and ablations."""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from iterqr_training.dataset.rows import Band
from iterqr_training.errors import StoreError
from iterqr_training.evaluate.estimates import differences, estimates
from iterqr_training.evaluate.evaluated import (
    EvaluatedQuery,
    EvaluatedSystem,
    Evaluation,
    EvaluationContext,
    EvaluationReport,
)
from iterqr_training.evaluate.latency import Latency
from iterqr_training.evaluate.query_sums import QuerySums
from iterqr_training.evaluate.text_variety import TextVariety

SCHEMA = "iterqr-evaluation/v1"
BANDS: Mapping[str, Band | None] = {"all": None, **{band.value: band for band in Band}}


def evaluation_json(report: EvaluationReport) -> str:
    """Returns the report as a JSON document; null for what is not defined.

    `systems[].bands` has values with intervals, and `gains` their paired differences to the first system;
    `systems[].sums` numerator and denominator by measure and query, from which both can be made again.
    """
    evaluation = report.evaluation
    document = {
        "schema": SCHEMA,
        "context": asdict(evaluation.context),
        "queries": [asdict(each) for each in evaluation.queries],
        "systems": [_system(report, each) for each in evaluation.systems],
    }
    return json.dumps(plain(document), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_evaluation(file: Path) -> Evaluation:
    """Reads what `evaluation_json` wrote.

    Raises:
        StoreError: It cannot be read, or is of another version.
    """
    try:
        document: Any = json.loads(file.read_text("utf-8"))
        if document["schema"] != SCHEMA:
            raise StoreError(f"{file}: schema: must be {SCHEMA!r}")
        return Evaluation(
            EvaluationContext(**document["context"]),
            tuple(EvaluatedQuery(each["query"], each["region"], Band(each["band"])) for each in document["queries"]),
            tuple(_read_system(each) for each in document["systems"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{file} is no evaluation: {error!r}") from error


def plain(value: Any) -> Any:  # noqa: ANN401 - any part of a report
    """Returns a value as JSON has it: dataclasses as objects, what is not finite as null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _system(report: EvaluationReport, system: EvaluatedSystem) -> Mapping[str, Any]:
    evaluation = report.evaluation
    context, first = evaluation.context, evaluation.systems[0]
    bands = {}
    for name, band in BANDS.items():
        chosen = evaluation.chosen(band)
        bands[name] = {
            "queries": int(chosen.sum()),
            "values": estimates(system.sums, chosen, seed=context.seed, resamples=context.resamples),
            "gains": differences(first.sums, system.sums, chosen, seed=context.seed, resamples=context.resamples),
        }
    return {
        "name": system.name,
        "identity": system.identity,
        "bands": bands,
        "variety": system.variety,
        "latency": system.latency,
        "perplexity": system.perplexity,
        "calibration_error": system.calibration_error,
        "details": report.details[system.name],
        "sums": system.sums.by_measure,
    }


def _read_system(document: Mapping[str, Any]) -> EvaluatedSystem:
    return EvaluatedSystem(
        name=document["name"],
        identity=document["identity"],
        sums=QuerySums({name: np.array(sums, dtype=np.float64) for name, sums in document["sums"].items()}),
        variety=TextVariety(**{name: _number(each) for name, each in document["variety"].items()}),
        latency=Latency(**{name: _number(each) for name, each in document["latency"].items()}),
        perplexity=_number(document["perplexity"]),
        calibration_error=_number(document["calibration_error"]),
    )


def _number(value: Any) -> Any:  # noqa: ANN401 - JSON
    return math.nan if value is None else value
