"""Head, torso and tail: queries by how much of the volume they and the more frequent ones make."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import numpy as np
import pyarrow as pa

HEAD_SHARE = 0.5
HEAD_AND_TORSO_SHARE = 0.8


class Band(StrEnum):
    """Where in the order of frequency a query is."""

    HEAD = "head"
    TORSO = "torso"
    TAIL = "tail"


def frequency_bands(searches: pa.Table) -> Mapping[str, Band]:
    """Returns the band of each normalized query.

    The most frequent queries that together begin the first half of all searches are the head, those up to 80% the
    torso, others the tail. Equally frequent ones are ordered by their text.

    Args:
        searches: Rows of `QUERY_OUTCOMES`.
    """
    counted = searches.group_by("normalized_query").aggregate([("query_id", "count")])
    counted = counted.sort_by([("query_id_count", "descending"), ("normalized_query", "ascending")])
    counts = counted["query_id_count"].to_numpy()
    before = (np.cumsum(counts) - counts) / max(1, counts.sum())
    return {
        query: Band.HEAD if share < HEAD_SHARE else Band.TORSO if share < HEAD_AND_TORSO_SHARE else Band.TAIL
        for query, share in zip(counted["normalized_query"].to_pylist(), before, strict=True)
    }
