"""What became of each rewrite of each query."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from iterqr_training.signals.attribution.exact import PPB, as_int, total
from iterqr_training.signals.attribution.examination import examined_position
from iterqr_training.signals.attribution.settings import AttributionSettings
from iterqr_training.signals.attribution.touches import CLICK, CREDITED, ORDER

_KEY = ("region", "normalized_query", "rewrite_id", "checkpoint_id")
_COUNTS = (
    "impressions",
    "hits",
    "level1_hits",
    "examined_ppb",
    "level1_clicks_ppb",
    "level2_clicks_ppb",
    "level1_orders_ppb",
    "level2_orders_ppb",
    "exclusive_clicks",
    "exclusive_orders",
)


def rewrite_outcomes(
    impressions: ir.Table,
    rewrites: ir.Table,
    hits_of_rewrites: ir.Table,
    examination: ir.Table,
    attributed: ir.Table,
    settings: AttributionSettings,
) -> ir.Table:
    """Returns `REWRITE_OUTCOMES`.

    Three kinds of rows, pages, hits and events, become one table of counts that is added up by its key, so that
    nothing needs a join on it and a rewrite without hits or clicks has its row all the same.

    Args:
        impressions: `IMPRESSIONS`.
        rewrites: `REWRITES`.
        hits_of_rewrites: What `rewrite_hits` returns.
        examination: `EXAMINATION`.
        attributed: `ATTRIBUTED_EVENTS`.
        settings: The rules.
    """
    pages = impressions.select("impression_id", "region", "normalized_query", "checkpoint_id", "client_id")
    counts = ibis.union(
        _of_pages(pages, rewrites), _of_hits(pages, hits_of_rewrites, examination, settings), _of_events(attributed)
    )
    summed = counts.group_by(*_KEY).agg(
        rewrite_text=counts.rewrite_text.max(),
        clients=counts.client_id.nunique().cast("int64"),
        **{name: total(counts[name]) for name in _COUNTS},
    )
    return _rated(summed, settings)


def _of_pages(pages: ir.Table, rewrites: ir.Table) -> ir.Table:
    proposed = rewrites.select("impression_id", "rewrite_id", "text").join(pages, "impression_id")
    return _row(proposed, rewrite_text=proposed.text, impressions=_one())


def _of_hits(pages: ir.Table, of_rewrites: ir.Table, examination: ir.Table, settings: AttributionSettings) -> ir.Table:
    examined = examination.select(examined_at=examination.position, chance_ppb=examination.examination_ppb)
    placed = of_rewrites.mutate(place=examined_position(of_rewrites.position, settings))
    hits = placed.join(examined, placed.place == examined.examined_at)
    level1 = as_int(hits.level == 1)
    by_page = hits.group_by("impression_id", "rewrite_id").agg(
        hits=hits.position.count().cast("int64"),
        level1_hits=total(level1),
        examined_ppb=total(level1 * hits.chance_ppb),
    )
    shown = by_page.join(pages, "impression_id")
    return _row(
        shown,
        client_id=shown.client_id.nullif(""),
        hits=shown.hits,
        level1_hits=shown.level1_hits,
        examined_ppb=shown.examined_ppb,
    )


def _of_events(attributed: ir.Table) -> ir.Table:
    rows = attributed.filter(attributed.status == CREDITED, attributed.rewrite_id != "")

    def share(kind: str, level: int) -> ir.IntegerValue:
        return as_int((rows.kind == kind) & (rows.level == level)) * rows.share_ppb

    return _row(
        rows,
        rewrite_text=rows.rewrite_text.nullif(""),
        level1_clicks_ppb=share(CLICK, 1),
        level2_clicks_ppb=share(CLICK, 2),
        level1_orders_ppb=share(ORDER, 1),
        level2_orders_ppb=share(ORDER, 2),
        exclusive_clicks=as_int((rows.kind == CLICK) & rows.exclusive),
        exclusive_orders=as_int((rows.kind == ORDER) & rows.exclusive),
    )


def _row(table: ir.Table, **told: ir.Value) -> ir.Table:
    """One contribution: the key, what is told of it, zeros and nulls for the rest."""
    return table.select(
        *_KEY,
        rewrite_text=told.get("rewrite_text", ibis.null("string")),
        client_id=told.get("client_id", ibis.null("string")),
        **{name: told.get(name, ibis.literal(0, "int64")) for name in _COUNTS},
    )


def _one() -> ir.IntegerScalar:
    return ibis.literal(1, "int64")


def _rated(summed: ir.Table, settings: AttributionSettings) -> ir.Table:
    """Adds click_rate and confidence.

    Clicks of examined hits as a binomial with a Beta prior, whose mean is the rate of all rewrites of the checkpoint
    and whose strength is `prior_hits`. Confidence is the share of the data in that posterior mean.
    """
    checkpoint = ibis.window(group_by=summed.checkpoint_id)
    known = summed.mutate(
        all_clicks_ppb=summed.level1_clicks_ppb.sum().over(checkpoint).cast("int64"),
        all_examined_ppb=summed.examined_ppb.sum().over(checkpoint).cast("int64"),
    )
    prior = ibis.literal(float(settings.prior_hits), "float64")
    mean = _float(known.all_clicks_ppb) / _float(known.all_examined_ppb.nullif(0))
    examined = _float(known.examined_ppb) / ibis.literal(float(PPB), "float64")
    clicks = _float(known.level1_clicks_ppb) / ibis.literal(float(PPB), "float64")
    rate = (clicks + prior * mean) / (examined + prior)
    one = ibis.literal(1.0, "float64")
    return known.mutate(
        rewrite_text=known.rewrite_text.fill_null(""),
        click_rate=ibis.ifelse(known.level1_hits > 0, ibis.ifelse(rate > one, one, rate), ibis.null("float64")),
        confidence=examined / (examined + prior),
    )


def _float(number: ir.IntegerValue) -> ir.FloatingValue:
    return number.cast("float64")
