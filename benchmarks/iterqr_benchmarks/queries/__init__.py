"""Tail queries of the demo and the dishes that truly satisfy them.

40 held-out queries measure; 200 tuning queries are for choosing prompts, weights and defaults. A figure on the
held-out ones means something only while nothing was chosen by looking at them.
"""

from iterqr_benchmarks.queries.load import KINDS, QuerySetName, load_queries, parse_queries
from iterqr_benchmarks.queries.normalized import normalized
from iterqr_benchmarks.queries.predicate import Predicate, parse_predicate
from iterqr_benchmarks.queries.tail_query import TailQuery

__all__ = [
    "KINDS",
    "Predicate",
    "QuerySetName",
    "TailQuery",
    "load_queries",
    "normalized",
    "parse_predicate",
    "parse_queries",
]
