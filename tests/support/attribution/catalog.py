"""The attribution catalog: every case, in the order of running."""

from __future__ import annotations

from dataclasses import replace

from support.attribution.case import Case
from support.attribution.cases_membership import membership_cases
from support.attribution.cases_scope import page_cases, scope_cases, shard_cases
from support.attribution.cases_shard_scores import shard_scores_cases
from support.attribution.cases_unfused import unfused_cases
from support.attribution.cases_wording import wording_cases

CHOSEN_PER_KIND = 6
SPREAD_NODES = 3


def catalog() -> list[Case]:
    """All cases that one node can run."""
    return [*membership_cases(), *wording_cases(), *scope_cases(), *shard_scores_cases(), *unfused_cases()]


def chosen() -> list[Case]:
    """Some of every kind, for a second version: evenly spread over the kind's cases."""
    by_kind: dict[str, list[Case]] = {}
    for case in catalog():
        by_kind.setdefault(case.kind, []).append(case)
    return [case for cases in by_kind.values() for case in cases[:: max(1, len(cases) // CHOSEN_PER_KIND)]]


def spread() -> list[Case]:
    """Cases for a cluster that puts each shard of an index on another node."""
    paged = [replace(case, shards=3) for case in page_cases()]
    few_shards = [case for case in (*shard_cases(), *paged, *shard_scores_cases()) if case.shards <= SPREAD_NODES]
    return [replace(case, kind=f"{case.kind}, spread") for case in few_shards]
