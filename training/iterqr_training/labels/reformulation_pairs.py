"""What users searched for next, as an expression on an engine."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from iterqr_training.signals.attribution.exact import as_int, total

_NEXT = ("normalized_query", "timestamp", "clicks", "orders")


def reformulation_pairs(searches: ir.Table, gap_s: int) -> ir.Table:
    """Returns one row for each region, query and other query that users searched for next, at most `gap_s` later.

    Next is of the same client in the same region; searches of one moment go by their id. A search that ended in an
    order was answered, so nothing is a reformulation of it; nor is anything that was never clicked. Searches without
    a client tell nothing.

    Args:
        searches: Rows of `QUERY_OUTCOMES`.
        gap_s: Longest time from search to search, in seconds.

    Returns:
        region, normalized_query, rewrite_text (the later query, normalized); pairs of searches, clicked (of them: the
        later search had a click or an order), ordered (it had an order), clients (distinct).
    """
    told = searches.filter(searches.client_id != "", searches.normalized_query != "")
    in_order = ibis.window(group_by=[told.client_id, told.region], order_by=[told.timestamp.asc(), told.query_id.asc()])
    paired = told.mutate(**{f"next_{name}": told[name].lead().over(in_order) for name in _NEXT})
    soon = paired.next_timestamp <= paired.timestamp + ibis.interval(seconds=gap_s)
    other = paired.next_normalized_query != paired.normalized_query
    pairs = paired.filter(soon, other, paired.orders == 0).rename(rewrite_text="next_normalized_query")
    counted = pairs.group_by("region", "normalized_query", "rewrite_text").agg(
        pairs=pairs.query_id.count().cast("int64"),
        clicked=total(as_int((pairs.next_clicks > 0) | (pairs.next_orders > 0))),
        ordered=total(as_int(pairs.next_orders > 0)),
        clients=pairs.client_id.nunique().cast("int64"),
    )
    return counted.filter(counted.clicked > 0)
