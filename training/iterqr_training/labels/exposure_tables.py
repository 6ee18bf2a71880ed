"""What users saw and clicked of each rewrite, each item and each query, as expressions on an engine."""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from iterqr_training.signals.attribution.exact import as_int, total
from iterqr_training.signals.attribution.rewrite_hits import rewrite_hits
from iterqr_training.signals.attribution.touches import CLICK, CREDITED, ORDER

_QUERY = ("region", "normalized_query")
_REWRITE = (*_QUERY, "rewrite_text")
_ITEM = (*_QUERY, "object_id")
_FUSED = "fused"
_TOTALS = (
    *("hits", "examined1_ppb", "examined2_ppb", "clicks1", "clicks2", "orders1", "orders2"),
    *("page_examined_ppb", "page_clicks", "page_orders"),
)


@dataclass(frozen=True, slots=True)
class LabelTables:
    """What labels are made of: raw tables and marts of the same time and applications."""

    impressions: ir.Table
    rewrites: ir.Table
    hits: ir.Table
    hit_channels: ir.Table
    attributed_events: ir.Table
    query_outcomes: ir.Table
    examination: ir.Table

    @property
    def pages(self) -> ir.Table:
        """Pages of the searches that attribution kept: without bots, copies and other applications."""
        kept = self.impressions.semi_join(self.query_outcomes, "query_id")
        return kept.select("impression_id", "outcome", *_QUERY).distinct()

    @property
    def credited(self) -> ir.Table:
        """Rows of credited events."""
        return self.attributed_events.filter(self.attributed_events.status == CREDITED)


def query_exposure(tables: LabelTables) -> ir.Table:
    """Returns one row for each region and query: searches, clients (of all regions together), observed_at."""
    searches = tables.query_outcomes
    known = searches.group_by("normalized_query").agg(
        clients=searches.client_id.nullif("").nunique().cast("int64")
    )  # the text is known to so many people, wherever they are
    events = tables.credited
    moments = ibis.union(
        searches.select(*_QUERY, "timestamp", search=ibis.literal(1, "int64")),
        events.select(*_QUERY, "timestamp", search=ibis.literal(0, "int64")),
    )
    by_query = moments.group_by(*_QUERY).agg(searches=total(moments.search), observed_at=moments.timestamp.max())
    told = by_query.join(known, "normalized_query")
    return told.select(*_QUERY, "searches", "clients", "observed_at")


def rewrite_exposure(tables: LabelTables) -> ir.Table:
    """Returns one row for each region, query and text of a rewrite: all pages that were fused with it, added up.

    Only they tell which hits a rewrite retrieved. Counts are of whole events: a hit that several rewrites retrieved
    was clicked for each of them, as it was examined for each of them.

    Returns:
        pages, hits; examined1_ppb and examined2_ppb, clicks1 and clicks2, orders1 and orders2 of its hits by level;
        page_examined_ppb, page_clicks and page_orders of its pages, whoever retrieved the hit.
    """
    fused = tables.pages.filter(tables.pages.outcome == _FUSED).select("impression_id", *_QUERY)
    proposed = tables.rewrites.filter(tables.rewrites.text != "").join(fused, "impression_id")
    proposed = proposed.select("impression_id", "rewrite_id", *_QUERY, rewrite_text=proposed.text)
    joined = proposed.left_join(_page_totals(tables, fused), "impression_id").drop("impression_id_right")
    for totals in (_hits_by_level(tables), _events_by_level(tables)):
        keys = ["impression_id", "rewrite_id"]
        joined = joined.left_join(totals, keys).drop(*(f"{key}_right" for key in keys))
    return joined.group_by(*_REWRITE).agg(
        pages=joined.impression_id.nunique().cast("int64"), **{name: total(joined[name]) for name in _TOTALS}
    )


def _page_totals(tables: LabelTables, fused: ir.Table) -> ir.Table:
    shown = tables.hits.filter(tables.hits.shown).semi_join(fused, "impression_id")
    examined = _examined(shown, tables.examination)
    by_page = examined.group_by("impression_id").agg(page_examined_ppb=total(examined.examination_ppb))
    single = tables.credited.select("impression_id", "event_id", "kind").distinct()
    done = single.group_by("impression_id").agg(
        page_clicks=total(as_int(single.kind == CLICK)), page_orders=total(as_int(single.kind == ORDER))
    )
    return by_page.left_join(done, "impression_id").drop("impression_id_right")


def _hits_by_level(tables: LabelTables) -> ir.Table:
    examined = _examined(rewrite_hits(tables.hit_channels), tables.examination)
    return examined.group_by("impression_id", "rewrite_id").agg(
        hits=examined.position.count().cast("int64"),
        **{
            f"examined{level}_ppb": total(as_int(examined.level == level) * examined.examination_ppb)
            for level in (1, 2)
        },
    )


def _events_by_level(tables: LabelTables) -> ir.Table:
    rows = tables.credited.filter(tables.credited.rewrite_id != "")
    return rows.group_by("impression_id", "rewrite_id").agg(
        **{
            f"{name}{level}": total(as_int((rows.kind == kind) & (rows.level == level)))
            for name, kind in (("clicks", CLICK), ("orders", ORDER))
            for level in (1, 2)
        }
    )


def item_exposure(tables: LabelTables) -> ir.Table:
    """Returns one row for each region, query and object that was shown: examined_ppb, clicks, orders."""
    shown = tables.hits.filter(tables.hits.shown).join(tables.pages, "impression_id")
    examined = _examined(shown, tables.examination)
    seen = examined.group_by(*_ITEM).agg(examined_ppb=total(examined.examination_ppb))
    single = tables.credited.select(
        *_ITEM, "event_id", "kind"
    ).distinct()  # an event of several rewrites has several rows
    done = single.group_by(*_ITEM).agg(
        clicks=total(as_int(single.kind == CLICK)), orders=total(as_int(single.kind == ORDER))
    )
    joined = seen.left_join(done, list(_ITEM))
    return joined.select(*_ITEM, "examined_ppb", clicks=joined.clicks.fill_null(0), orders=joined.orders.fill_null(0))


def _examined(hits: ir.Table, examination: ir.Table) -> ir.Table:
    """Joins the probability that a hit's position is looked at; deeper positions are as the last."""
    last = examination.aggregate(last=examination.position.max())
    placed = hits.cross_join(last)
    placed = placed.mutate(place=ibis.least(placed.position, placed["last"]).cast("int32"))
    chances = examination.select("position", "examination_ppb").rename(place="position")
    return placed.join(chances, "place")
