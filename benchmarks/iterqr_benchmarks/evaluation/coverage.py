"""Tail coverage: how often rewrites come in time, for budgets that the run itself did not have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BUDGETS_MS = (100, 300, 1_000, 3_000)


@dataclass(frozen=True, slots=True)
class Coverage:
    """Share of searches that a budget would have served with rewrites."""

    budget_ms: int
    share: float


def tail_coverage(fused_after_ms: Sequence[float | None], budgets_ms: Sequence[int] = BUDGETS_MS) -> list[Coverage]:
    """Returns the coverage of each budget.

    It is a lower bound: within a smaller budget the server would reply with the rewrites finished by then, which a run
    with a larger one does not show.

    Args:
        fused_after_ms: For each search the time from the request to the fused response, the rewrites' retrieval
            included; None where no rewrite was used.
        budgets_ms: Budgets, ms.

    Raises:
        ValueError: There are no searches.
    """
    if not fused_after_ms:
        raise ValueError("fused_after_ms: must not be empty")
    return [
        Coverage(budget, sum(after is not None and after <= budget for after in fused_after_ms) / len(fused_after_ms))
        for budget in budgets_ms
    ]
