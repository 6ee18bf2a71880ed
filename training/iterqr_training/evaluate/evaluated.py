"""An evaluation as data: what gates and ablations read, and what the report adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from iterqr_training.dataset.rows import Band
from iterqr_training.errors import SettingError
from iterqr_training.evaluate.calibration import Calibration, Reliability
from iterqr_training.evaluate.estimates import Chosen
from iterqr_training.evaluate.latency import Latency
from iterqr_training.evaluate.policy_fit import PolicyFit
from iterqr_training.evaluate.query_sums import QuerySums
from iterqr_training.evaluate.text_variety import TextVariety


@dataclass(frozen=True, slots=True)
class EvaluatedQuery:
    """A query of the truth set."""

    query: str
    region: str
    band: Band


@dataclass(frozen=True, slots=True)
class EvaluationContext:
    """What was evaluated, and how. `created_at` is ISO 8601, UTC; what was not asked for is ""."""

    created_at: str
    truth: str
    truth_sha256: str
    validation: str
    index: str
    embedder: str
    judge: str
    rewrite_weight: float
    rank_constant: int
    seed: int
    resamples: int


@dataclass(frozen=True, slots=True)
class EvaluatedSystem:
    """Measures of one system. `perplexity`: on general text, NaN if nobody measured it.

    `calibration_error`: of what the fitted calibration says on held-out queries; NaN without one.
    """

    name: str
    identity: str
    sums: QuerySums
    variety: TextVariety
    latency: Latency
    perplexity: float
    calibration_error: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All systems on the same queries, in the order of `sums`."""

    context: EvaluationContext
    queries: tuple[EvaluatedQuery, ...]
    systems: tuple[EvaluatedSystem, ...]

    def chosen(self, band: Band | None) -> Chosen:
        """Returns which queries are of a band; all of them for None."""
        return np.array([band is None or each.band is band for each in self.queries], dtype=np.bool_)

    def system(self, name: str) -> EvaluatedSystem:
        """Returns a system.

        Raises:
            SettingError: There is none of that name; the message lists those there are.
        """
        for each in self.systems:
            if each.name == name:
                return each
        raise SettingError(
            f"system {name!r} was not evaluated; evaluated are {', '.join(s.name for s in self.systems)}"
        )


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """The calibration, and its reliability on held-out queries: as the system says it, and calibrated."""

    calibration: Calibration
    said: Reliability
    calibrated: Reliability


@dataclass(frozen=True, slots=True)
class Example:
    """A query whose results changed: P@10 without and with the rewrites. `region` and `rewrites` as they were."""

    query: str
    region: str
    rewrites: tuple[str, ...]
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class SystemDetails:
    """What the report tells beside the measures. `policy`: the document to export with the checkpoint."""

    calibration: CalibrationReport | None
    policy_fit: PolicyFit | None
    policy: Mapping[str, Any]
    won: tuple[Example, ...]
    lost: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """The whole report. `details` by name of the system."""

    evaluation: Evaluation
    details: Mapping[str, SystemDetails]
