"""How long answers take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iterqr_training.evaluate.rewriter import Answer


@dataclass(frozen=True, slots=True)
class Latency:
    """Quantiles in ms of the queries that were asked one at a time; NaN without any."""

    p50_ms: float
    p95_ms: float


def latency(answers: Sequence[Answer]) -> Latency:
    """Returns the quantiles over all answers that have a latency, failures among them."""
    taken = [answer.latency_ms for answer in answers if answer.latency_ms is not None]
    if not taken:
        return Latency(math.nan, math.nan)
    return Latency(float(np.quantile(taken, 0.5)), float(np.quantile(taken, 0.95)))
