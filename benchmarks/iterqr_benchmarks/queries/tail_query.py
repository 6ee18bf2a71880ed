"""One tail query."""

from __future__ import annotations

from dataclasses import dataclass

from iterqr_benchmarks.catalog import Catalog
from iterqr_benchmarks.queries.predicate import Predicate


@dataclass(frozen=True, slots=True)
class TailQuery:
    """What a user of a region typed, and what would have satisfied them."""

    query: str
    kind: str
    region: str
    satisfied_by: Predicate

    def satisfying(self, catalog: Catalog) -> frozenset[str]:
        """Returns the ids of the dishes of the query's region that satisfy it."""
        dishes = catalog.by_region.get(self.region, ())
        return frozenset(dish.dish_id for dish in dishes if self.satisfied_by.holds(dish))
