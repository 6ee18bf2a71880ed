"""What became of each search."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from iterqr_training.signals.attribution.exact import as_int, from_millionths, millionths, total
from iterqr_training.signals.attribution.touches import CLICK, CREDITED, ORDER

_COUNTS = ("pages", "hits", "level1_hits", "clicks", "level1_clicks", "orders", "level1_orders", "value_micro")


def query_outcomes(
    impressions: ir.Table, hits: ir.Table, rewrites: ir.Table, hits_of_rewrites: ir.Table, described: ir.Table
) -> ir.Table:
    """Returns `QUERY_OUTCOMES`. Searches without query id are no rows; orders are counted where they are credited.

    Args:
        impressions: `IMPRESSIONS`.
        hits: `HITS`.
        rewrites: `REWRITES`.
        hits_of_rewrites: What `rewrite_hits` returns.
        described: What `describe` returns.
    """
    pages = impressions.filter(impressions.query_id != "")
    query_of = pages.select("impression_id", "query_id")
    shown = hits.filter(hits.shown)
    shown_by_page = shown.group_by("impression_id").agg(hits=shown.position.count().cast("int64"))
    added = hits_of_rewrites.filter(hits_of_rewrites.level == 1, hits_of_rewrites.is_first == 1)
    added_by_page = added.group_by("impression_id").agg(level1_hits=added.position.count().cast("int64"))
    events = described.filter(described.status == CREDITED, described.query_id != "")
    click, order = as_int(events.kind == CLICK), as_int(events.kind == ORDER)
    level1 = as_int(events.level == 1)
    counts = ibis.union(
        _row(query_of, pages=ibis.literal(1, "int64")),
        _row(paged := shown_by_page.join(query_of, "impression_id"), hits=paged.hits),
        _row(paged := added_by_page.join(query_of, "impression_id"), level1_hits=paged.level1_hits),
        _row(proposed := rewrites.join(query_of, "impression_id"), rewrite_id=proposed.rewrite_id),
        _row(
            events,
            clicks=click,
            level1_clicks=click * level1,
            orders=order,
            level1_orders=order * level1,
            value_micro=order * millionths(events.value),
        ),
    )
    summed = counts.group_by("query_id").agg(
        rewrites=counts.rewrite_id.nunique().cast("int64"), **{name: total(counts[name]) for name in _COUNTS}
    )
    outcomes = _first_pages(pages).join(summed, "query_id")
    return outcomes.mutate(value=from_millionths(outcomes.value_micro))


def _first_pages(pages: ir.Table) -> ir.Table:
    earliest = ibis.window(group_by=pages.query_id, order_by=(pages.timestamp.asc(), pages.impression_id.asc()))
    numbered = pages.mutate(page=ibis.row_number().over(earliest))
    return numbered.filter(numbered.page == 0).select(
        "query_id",
        "timestamp",
        "client_id",
        "region",
        "normalized_query",
        "experiment",
        "bucket",
        "outcome",
        "checkpoint_id",
    )


def _row(table: ir.Table, **told: ir.Value) -> ir.Table:
    """One contribution: the query, what is told of it, zeros and null for the rest."""
    return table.select(
        "query_id",
        rewrite_id=told.get("rewrite_id", ibis.null("string")),
        **{name: told.get(name, ibis.literal(0, "int64")) for name in _COUNTS},
    )
