"""What users saw and clicked of each rewrite of each query, all regions and checkpoints together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from iterqr_training.experiments.frequency_bands import Band
from iterqr_training.experiments.user_sums import Floats
from iterqr_training.signals.tables import TableSpec

_PPB = 1e9

REWRITE_TRUTH = TableSpec(
    "rewrite_truth",
    "what a simulator knows of one rewrite of one query",
    ("normalized_query", "rewrite_text"),
    pa.schema([("normalized_query", pa.string()), ("rewrite_text", pa.string()), ("good", pa.bool_())]),
)
REWRITE_JUDGMENTS = TableSpec(
    "rewrite_judgments",
    "how well one rewrite keeps the meaning of one query, as a model or a person judged it: score from 0 to 1",
    ("normalized_query", "rewrite_text"),
    pa.schema([("normalized_query", pa.string()), ("rewrite_text", pa.string()), ("score", pa.float64())]),
)


@dataclass(frozen=True, slots=True, eq=False)
class RewriteExposure:
    """One element for each rewrite of a query.

    Args:
        queries: Normalized.
        texts: Of the rewrites.
        bands: Of the queries; a query that nobody searched with is in the tail.
        examined: Expected number of the rewrite's Level-1 hits that users looked at.
        clicks: Level-1 clicks, in shares where several rewrites had retrieved the hit.
    """

    queries: tuple[str, ...]
    texts: tuple[str, ...]
    bands: npt.NDArray[np.str_]
    examined: Floats
    clicks: Floats

    def __len__(self) -> int:
        """The number of rewrites."""
        return len(self.queries)


def rewrite_exposure(rewrite_outcomes: pa.Table, bands: Mapping[str, Band]) -> RewriteExposure:
    """Adds up what is known of each rewrite of each query.

    Args:
        rewrite_outcomes: Rows of `REWRITE_OUTCOMES`.
        bands: By normalized query.
    """
    key = ["normalized_query", "rewrite_text"]
    summed = rewrite_outcomes.group_by(key).aggregate([("examined_ppb", "sum"), ("level1_clicks_ppb", "sum")])
    summed = summed.sort_by([(name, "ascending") for name in key])
    queries = summed["normalized_query"].to_pylist()
    return RewriteExposure(
        tuple(queries),
        tuple(summed["rewrite_text"].to_pylist()),
        np.array([bands.get(query, Band.TAIL).value for query in queries], dtype=np.str_),
        summed["examined_ppb_sum"].to_numpy() / _PPB,
        summed["level1_clicks_ppb_sum"].to_numpy() / _PPB,
    )
