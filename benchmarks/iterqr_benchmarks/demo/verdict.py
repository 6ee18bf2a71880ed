"""Whether the demo worked. Not whether rewriting helped: no target is set on the lift."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from iterqr_benchmarks.demo.observation import Observation

REQUIRED_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class Verdict:
    """Counts over the queries, and what is not as it must be.

    `working`: queries with a valid chain of thought and a rewrite that differs from the query and retrieves documents;
    at least `required` must. `faults` is empty if the demo worked.
    """

    queries: int
    chains_of_thought: int
    rewritten: int
    working: int
    required: int
    faults: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the demo worked."""
        return not self.faults


def judge(observations: Sequence[Observation]) -> Verdict:
    """Returns the verdict over all queries searched."""
    working = sum(each.works for each in observations)
    required = math.ceil(REQUIRED_SHARE * len(observations))
    untagged = sum(each.untagged_hits for each in observations)
    faults = []
    if working < required:
        outcomes = sorted({each.rewriting.outcome for each in observations if not each.works})
        faults.append(
            f"{working} of {len(observations)} queries got a valid chain of thought and a rewrite that differs and "
            f"retrieves documents; {required} must (outcomes of the others: {', '.join(outcomes)})"
        )
    if untagged:
        faults.append(f"{untagged} hits of fused responses do not say which channel retrieved them")
    return Verdict(
        queries=len(observations),
        chains_of_thought=sum(each.rewriting.has_chain_of_thought for each in observations),
        rewritten=sum(bool(each.working_rewrites) for each in observations),
        working=working,
        required=required,
        faults=tuple(faults),
    )
