"""What is known of each credited event: its page, the level of its hit, the weight of its position."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from iterqr_training.signals.attribution.exact import as_int
from iterqr_training.signals.attribution.examination import examined_position
from iterqr_training.signals.attribution.settings import AttributionSettings
from iterqr_training.signals.attribution.touches import CREDITED


def describe(
    credited: ir.Table,
    impressions: ir.Table,
    hits_of_rewrites: ir.Table,
    examination: ir.Table,
    settings: AttributionSettings,
) -> ir.Table:
    """Returns one row for each event of `credit`: the columns of `ATTRIBUTED_EVENTS` that are not of one rewrite.

    Args:
        credited: What `credit` returns.
        impressions: `IMPRESSIONS`.
        hits_of_rewrites: What `rewrite_hits` returns.
        examination: `EXAMINATION`.
        settings: The rules.
    """
    pages = impressions.select(
        page_id=impressions.impression_id,
        page_query_id=impressions.query_id,
        region=impressions.region,
        normalized_query=impressions.normalized_query,
        bucket=impressions.bucket,
        checkpoint_id=impressions.checkpoint_id,
    )
    first = hits_of_rewrites.filter(hits_of_rewrites.is_first == 1)
    levels = first.select(
        level_impression_id=first.impression_id,
        level_position=first.position,
        hit_level=first.level,
        hit_rewrites=first.rewrites,
    )
    weighed = credited.mutate(examined_position=examined_position(credited.position, settings))
    joined = weighed.left_join(pages, weighed.impression_id == pages.page_id)
    joined = joined.left_join(
        levels,
        [joined.impression_id == levels.level_impression_id, joined.position == levels.level_position],
    )
    weights = examination.select(weight_position=examination.position, position_weight_ppb=examination.weight_ppb)
    joined = joined.left_join(weights, joined.examined_position == weights.weight_position)
    is_credited = joined.status == CREDITED
    level = ibis.ifelse(is_credited, joined.hit_level.fill_null(0), ibis.null("int32"))
    return joined.select(
        "event_id",
        "action",
        "kind",
        "timestamp",
        "touch_event_id",
        "impression_id",
        "client_id",
        "object_id",
        "position",
        "status",
        "value",
        query_id=joined.page_query_id.fill_null(joined.told_query_id),
        region=joined.region.fill_null(""),
        normalized_query=joined.normalized_query.fill_null(""),
        bucket=joined.bucket.fill_null(""),
        checkpoint_id=joined.checkpoint_id.fill_null(""),
        level=level.cast("int32"),
        exclusive=as_int((joined.hit_level == 1) & (joined.hit_rewrites == 1)) == 1,
        weight_ppb=joined.position_weight_ppb.fill_null(0),
    )
