"""Measures of one ranked list against the documents known to satisfy its query."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet


def precision_at(cutoff: int, ranked: Sequence[str], relevant: AbstractSet[str]) -> float:
    """Returns the share of the first `cutoff` places that hold a relevant document.

    Places that the list does not fill count as misses, so an empty result has precision 0.

    Args:
        cutoff: Places looked at, at least 1.
        ranked: Ids, best first, each once.
        relevant: Ids that satisfy the query.
    """
    _check(cutoff, ranked)
    return _found(cutoff, ranked, relevant) / cutoff


def recall_at(cutoff: int, ranked: Sequence[str], relevant: AbstractSet[str]) -> float:
    """Returns the share of all relevant documents that are within the first `cutoff` places.

    Where more than `cutoff` documents are relevant, it cannot reach 1.

    Raises:
        ValueError: `relevant` is empty: recall is not defined.
    """
    _check(cutoff, ranked)
    if not relevant:
        raise ValueError("relevant: must not be empty")
    return _found(cutoff, ranked, relevant) / len(relevant)


def _found(cutoff: int, ranked: Sequence[str], relevant: AbstractSet[str]) -> int:
    return sum(document in relevant for document in ranked[:cutoff])


def _check(cutoff: int, ranked: Sequence[str]) -> None:
    if cutoff < 1:
        raise ValueError(f"cutoff: must be at least 1, got {cutoff}")
    if len(set(ranked)) != len(ranked):
        raise ValueError("ranked: a document stands in it twice")
