"""The measures of a system that are sums over queries: name, meaning, and which way is better.

Each is a ratio of two sums over queries (shares and means of queries or of rewrites), so that resampling queries gives
its interval, and resampling the same queries of two systems that of their difference.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Better(enum.StrEnum):
    """Which way a measure should go; NEITHER tells a property."""

    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True)
class Measure:
    """`name` is the key in JSON. `is_share`: shown as percent."""

    name: str
    label: str
    better: Better
    is_share: bool = False


_HIGHER, _LOWER, _NEITHER = Better.HIGHER, Better.LOWER, Better.NEITHER
MEASURES = (
    Measure("rewrite_p1", "rewrites P@1", _HIGHER),
    Measure("rewrite_p5", "rewrites P@5", _HIGHER),
    Measure("rewrite_p10", "rewrites P@10", _HIGHER),
    Measure("rewrite_precision", "share of good rewrites among those given", _HIGHER, is_share=True),
    Measure("judged_share", "share of rewrites of known worth", _NEITHER, is_share=True),
    Measure("coverage", "share of queries with a rewrite", _NEITHER, is_share=True),
    Measure("rewrites_per_query", "rewrites per query", _NEITHER),
    Measure("result_p1", "results P@1", _HIGHER),
    Measure("result_p5", "results P@5", _HIGHER),
    Measure("result_p10", "results P@10", _HIGHER),
    Measure("result_ndcg10", "results nDCG@10", _HIGHER),
    Measure("result_gain", "gain of results P@10 over plain search", _HIGHER),
    Measure("lift_rate", "share of queries whose results P@10 rises", _HIGHER, is_share=True),
    Measure("harm_rate", "harm rate: share of queries whose results P@10 falls", _LOWER, is_share=True),
    Measure("empty_rate", "share of queries without results", _LOWER, is_share=True),
    Measure("drift", "intent drift: embedding distance of query and rewrite", _LOWER),
    Measure("judged_drift", "share of rewrites that lose the need, as the judge says", _LOWER, is_share=True),
    Measure("judged_quality", "quality of rewrites, as the judge says", _HIGHER),
    Measure("novelty", "share of rewrites that the previous iteration did not give", _NEITHER, is_share=True),
    Measure("tokens_per_rewrite", "generated tokens per rewrite", _LOWER),
    Measure("latency_ms", "mean latency, ms", _LOWER),
    Measure("well_formed", "share of answers in the format", _HIGHER, is_share=True),
    Measure("failure_rate", "share of queries without an answer", _LOWER, is_share=True),
)
BY_NAME = {measure.name: measure for measure in MEASURES}
