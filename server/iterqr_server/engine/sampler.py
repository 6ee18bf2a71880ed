"""Chooses the next token of each row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Sample:
    """A chosen token and the natural logarithm of its probability."""

    token_id: int
    logprob: float


def greedy(logits: NDArray[np.float32]) -> tuple[Sample, ...]:
    """Returns the likeliest token of each row of `logits` [K, vocabulary]; of equals, the one with the lowest id."""
    samples = []
    for row in logits:
        token_id = int(row.argmax())
        top = row[token_id]
        samples.append(Sample(token_id, -float(np.log(np.exp(row - top).sum(dtype=np.float64)))))
    return tuple(samples)
