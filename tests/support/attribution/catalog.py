"""The attribution catalog: every case, in the order of running."""

from __future__ import annotations

from support.attribution.case import Case
from support.attribution.cases_membership import membership_cases
from support.attribution.cases_scope import scope_cases
from support.attribution.cases_shard_scores import shard_scores_cases
from support.attribution.cases_unfused import unfused_cases
from support.attribution.cases_wording import wording_cases

CHOSEN_PER_KIND = 6


def catalog() -> list[Case]:
    """All cases that one node can run."""
    return [*membership_cases(), *wording_cases(), *scope_cases(), *shard_scores_cases(), *unfused_cases()]


def chosen() -> list[Case]:
    """Some of every kind, for a second version: evenly spread over the kind's cases."""
    by_kind: dict[str, list[Case]] = {}
    for case in catalog():
        by_kind.setdefault(case.kind, []).append(case)
    return [case for cases in by_kind.values() for case in cases[:: max(1, len(cases) // CHOSEN_PER_KIND)]]
