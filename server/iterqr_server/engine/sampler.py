"""Chooses the next tokens of a request from logits: greedily, and as many as its drafts foretold."""

from __future__ import annotations

import math
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iterqr_server.engine.draft_tree import DraftTree
from iterqr_server.engine.guide import Guide


@dataclass(frozen=True, slots=True)
class Sample:
    """A chosen token and the natural logarithm of the probability that the model, unguided, gave it."""

    token_id: int
    logprob: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The tokens that one step gave a request, and the rows of its drafts that foretold all but the last of them.

    `is_end`: the model ended its turn after them, or nothing else may follow. A token that ends the turn is left out.
    """

    samples: tuple[Sample, ...]
    accepted: tuple[int, ...] = ()
    is_end: bool = False


def verify(
    logits: NDArray[np.float32],
    tree: DraftTree,
    guide: Guide | None,
    stop_ids: AbstractSet[int],
    at_most: int,
    output_ids: NDArray[np.int64] | None = None,
) -> Verdict:
    """Walks a draft tree along the tokens that decoding one by one would have chosen.

    `logits` [1 + rows of the tree, vocabulary]: first of the token known last, then of each draft. The guide is
    advanced by every token returned. Returns at most `at_most` samples. `output_ids`: see `greedy`.
    """
    samples: list[Sample] = []
    accepted: list[int] = []
    row = -1
    while True:
        sample = greedy(logits[row + 1], guide, output_ids)
        if sample.token_id in stop_ids:
            return Verdict(tuple(samples), tuple(accepted), is_end=True)
        samples.append(sample)
        if guide is not None:
            guide.advance(sample.token_id)
            if guide.is_finished:
                return Verdict(tuple(samples), tuple(accepted), is_end=True)
        following = [i for i in tree.children(row) if tree.guesses[i].token_id == sample.token_id]
        if not following or len(samples) == at_most:
            return Verdict(tuple(samples), tuple(accepted))
        row = following[0]
        accepted.append(row)


def greedy(row: NDArray[np.float32], guide: Guide | None, output_ids: NDArray[np.int64] | None = None) -> Sample:
    """Returns the likeliest token of `row` [vocabulary] that the guide allows; of equals, that of the lowest id.

    With `output_ids`, ascending, `row` has a column for each of these tokens only.

    Raises:
        ValueError: the guide allows none of them.
    """
    column = top = int(row.argmax())
    if guide is not None and not guide.allows(_token_of(top, output_ids)):
        column = _best_allowed(row, guide, output_ids)
    return Sample(_token_of(column, output_ids), float(row[column] - row[top]) - _log_sum(row, top))


def _best_allowed(row: NDArray[np.float32], guide: Guide, output_ids: NDArray[np.int64] | None) -> int:
    allowed = guide.mask() if output_ids is None else guide.mask()[output_ids]
    if allowed.any():
        return int(np.where(allowed, row, -np.inf).argmax())
    # Where its pattern leaves one text only, a mask has just the tokens of its usual spelling, which `output_ids` may
    # lack; it can be spelled with others.
    for column in np.argsort(-row).tolist():
        if guide.allows(_token_of(column, output_ids)):
            return int(column)
    raise ValueError("the guide allows none of the model's tokens")


def log_probabilities(
    row: NDArray[np.float32], token_ids: tuple[int, ...], output_ids: NDArray[np.int64] | None = None
) -> tuple[float, ...]:
    """Returns the natural logarithms of some tokens' probabilities after `row` [vocabulary].

    With `output_ids`, ascending, `row` has a column for each of these tokens only; others have no probability.
    """
    top = int(row.argmax())
    log_sum = _log_sum(row, top)
    return tuple(
        -math.inf if column is None else float(row[column] - row[top]) - log_sum
        for column in (_column_of(token_id, output_ids) for token_id in token_ids)
    )


def _token_of(column: int, output_ids: NDArray[np.int64] | None) -> int:
    return column if output_ids is None else int(output_ids[column])


def _column_of(token_id: int, output_ids: NDArray[np.int64] | None) -> int | None:
    if output_ids is None:
        return token_id
    column = int(np.searchsorted(output_ids, token_id))
    return column if column < output_ids.size and output_ids[column] == token_id else None


def _log_sum(row: NDArray[np.float32], top: int) -> float:
    others = np.exp(row - row[top])
    others[top] = 0.0  # its 1 would swallow what is small
    return math.log1p(float(others.sum()))
