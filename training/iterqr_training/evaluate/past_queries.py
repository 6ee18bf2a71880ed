"""What users searched for before, and what they clicked: all that the baselines know."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pyarrow.parquet as pq

from iterqr_training.signals.marts import Marts
from iterqr_training.signals.tables import HINTS, QUERY_OUTCOMES


@dataclass(frozen=True, slots=True)
class PastQuery:
    """A normalized query of a region. `clicks`: how often each object was clicked after it."""

    region: str
    text: str
    searches: int
    clicks: Mapping[str, int] = field(default_factory=dict)


class PastQueries:
    """Past queries by region."""

    def __init__(self, queries: Iterable[PastQuery]) -> None:
        ordered = sorted(queries, key=lambda each: (each.region, -each.searches, each.text))
        by_region: dict[str, list[PastQuery]] = defaultdict(list)
        for query in ordered:
            by_region[query.region].append(query)
        self.by_region = {region: tuple(mine) for region, mine in by_region.items()}
        said = [[each.region, each.text, each.searches, sorted(each.clicks.items())] for each in ordered]
        self.digest = hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()

    def clicked(self, region: str) -> tuple[PastQuery, ...]:
        """Returns a region's queries after which something was clicked, the most frequent first."""
        return tuple(each for each in self.by_region.get(region, ()) if each.clicks)


def read_past_queries(marts: Marts) -> PastQueries:
    """Reads them from the marts of attribution. A query that was only clicked and never counted has no searches."""
    searches: Counter[tuple[str, str]] = Counter()
    for file in marts.files(QUERY_OUTCOMES):
        table = pq.read_table(file, columns=["region", "normalized_query"])
        searches.update(zip(table["region"].to_pylist(), table["normalized_query"].to_pylist(), strict=True))
    clicks: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for file in marts.files(HINTS):
        for row in pq.read_table(file, columns=["region", "normalized_query", "object_id", "clicks"]).to_pylist():
            clicks[row["region"], row["normalized_query"]][row["object_id"]] = row["clicks"]
    return PastQueries(
        PastQuery(region, text, searches[region, text], clicks.get((region, text), {}))
        for region, text in searches.keys() | clicks.keys()
    )
