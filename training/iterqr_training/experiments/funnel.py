"""The way from a search to an order that a rewrite earned: where does it end for how many?"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

# Outcomes of the plugin (its README): nobody asked for rewrites,
_NOT_ASKED = ("control", "disabled", "skipped_", "page_unpinned")
# or they were asked for and did not come in time or in shape.
_TOO_LATE_OR_FAILED = (
    "timeout",
    "unavailable",
    "bad_reply",
    "rejected",
    "breaker_open",
    "overloaded",
    "windows_failed",
    "error",
)
_IN_THE_PAGE = ("fused", "expanded")


@dataclass(frozen=True, slots=True)
class Step:
    """How many searches of an arm come this far; not every step contains the next."""

    name: str
    searches: int
    share: float


@dataclass(frozen=True, slots=True)
class Funnel:
    """Of one arm, from all searches down."""

    arm: str
    steps: tuple[Step, ...]


def funnel(arm: str, searches: pa.Table) -> Funnel:
    """Counts how far searches come.

    Args:
        arm: Its name.
        searches: Its rows of `QUERY_OUTCOMES`, at least one.
    """
    outcome = searches["outcome"]
    asked = pc.invert(_any_prefix(outcome, _NOT_ASKED))
    in_time = pc.and_(asked, pc.invert(pc.is_in(outcome, pa.array(_TOO_LATE_OR_FAILED))))
    steps = {
        "searches": searches.num_rows,
        "rewriting asked for": _count(asked),
        "answered in time": _count(in_time),
        "rewrites in the page": _count(pc.is_in(outcome, pa.array(_IN_THE_PAGE))),
        "new results added": _positive(searches, "level1_hits"),
        "a new result clicked (Level-1)": _positive(searches, "level1_clicks"),
        "a new result ordered (Level-1)": _positive(searches, "level1_orders"),
        "anything ordered": _positive(searches, "orders"),
    }
    return Funnel(arm, tuple(Step(name, count, count / searches.num_rows) for name, count in steps.items()))


def _any_prefix(values: pa.ChunkedArray, prefixes: tuple[str, ...]) -> pa.ChunkedArray:
    found = pc.starts_with(values, prefixes[0])
    for prefix in prefixes[1:]:
        found = pc.or_(found, pc.starts_with(values, prefix))
    return found


def _positive(searches: pa.Table, column: str) -> int:
    return _count(pc.greater(searches[column], 0))


def _count(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(pc.cast(mask, pa.int64())).as_py() or 0)
