"""Chooses the next token of each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iterqr_server.engine.guide import Guide


@dataclass(frozen=True, slots=True)
class Sample:
    """A chosen token and the natural logarithm of the probability that the model, unguided, gave it."""

    token_id: int
    logprob: float


def greedy(logits: NDArray[np.float32], guides: Sequence[Guide | None]) -> tuple[Sample, ...]:
    """Returns the likeliest token of each row of `logits` [K, vocabulary]; of equals, the one with the lowest id.

    `guides` has one entry for each row; where there is a guide, the likeliest of the tokens it allows is chosen.
    """
    return tuple(_greedy(row, guide) for row, guide in zip(logits, guides, strict=True))


def _greedy(row: NDArray[np.float32], guide: Guide | None) -> Sample:
    token_id = top = int(row.argmax())
    if guide is not None and not guide.allows(top):
        token_id = int(np.where(guide.mask(), row, -np.inf).argmax())
    log_sum = float(np.log(np.exp(row - row[top]).sum(dtype=np.float64)))
    return Sample(token_id, float(row[token_id] - row[top]) - log_sum)
