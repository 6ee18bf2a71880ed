"""An event shared among the rewrites that retrieved its hit."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from iterqr_training.signals.attribution.exact import PPB, as_int, quotient, total
from iterqr_training.signals.attribution.touches import CREDITED


def attributed_events(described: ir.Table, hits_of_rewrites: ir.Table, rewrites: ir.Table) -> ir.Table:
    """Returns `ATTRIBUTED_EVENTS`.

    Each rewrite's share is its reciprocal rank in its own window over the sum of all: what a rewrite is trusted with,
    or added to the score, must not decide what it is credited. Shares are whole billionths; what rounding down
    leaves goes one by one to the largest remainders (Hamilton's method), of equal ones to the smaller rewrite_id.

    Args:
        described: What `describe` returns.
        hits_of_rewrites: What `rewrite_hits` returns.
        rewrites: `REWRITES`.
    """
    members = hits_of_rewrites.select(
        member_impression_id=hits_of_rewrites.impression_id,
        member_position=hits_of_rewrites.position,
        member_rewrite_id=hits_of_rewrites.rewrite_id,
        reciprocal_ppb=quotient(ibis.literal(PPB, "int64"), hits_of_rewrites["rank"]),
    )
    joined = described.left_join(
        members,
        [described.impression_id == members.member_impression_id, described.position == members.member_position],
    )
    shared = _shared(joined.mutate(rewrite_id=joined.member_rewrite_id.fill_null("")))
    texts = rewrites.select(
        text_impression_id=rewrites.impression_id, text_rewrite_id=rewrites.rewrite_id, rewrite_text=rewrites.text
    )
    told = shared.left_join(
        texts, [shared.impression_id == texts.text_impression_id, shared.rewrite_id == texts.text_rewrite_id]
    )
    alone = ibis.ifelse(told.status == CREDITED, PPB, 0).cast("int64")
    return told.mutate(
        rewrite_text=told.rewrite_text.fill_null(""),
        share_ppb=ibis.ifelse(told.rewrite_id == "", alone, told.share_ppb),
    )


def _shared(joined: ir.Table) -> ir.Table:
    event = ibis.window(group_by=joined.event_id)
    summed = joined.mutate(sum_ppb=total(joined.reciprocal_ppb.fill_null(1)).over(event))
    # At most 10**9 * 10**9, which 64 bits hold.
    scaled = summed.mutate(scaled=summed.reciprocal_ppb.fill_null(1) * PPB)
    floored = scaled.mutate(floor_ppb=quotient(scaled.scaled, scaled.sum_ppb), rest=scaled.scaled % scaled.sum_ppb)
    largest_rest = ibis.window(group_by=floored.event_id, order_by=(floored.rest.desc(), floored.rewrite_id.asc()))
    whole = ibis.window(group_by=floored.event_id)
    ranked = floored.mutate(
        turn=ibis.row_number().over(largest_rest), left_ppb=PPB - total(floored.floor_ppb).over(whole)
    )
    return ranked.mutate(share_ppb=ranked.floor_ppb + as_int(ranked.turn < ranked.left_ppb))
