"""Which rewrites retrieved a shown hit, and whether the original search did too."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from iterqr_training.signals.attribution.exact import as_int

ORIGINAL = "original"
REWRITE = "rewrite"


def rewrite_hits(hit_channels: ir.Table) -> ir.Table:
    """Returns one row for each rewrite of each shown hit that a rewrite retrieved.

    A channel retrieved a hit that was inside its window, so it has a rank there; `matched` proves nothing. The same
    rewrite twice counts once, by its best rank.

    Returns:
        impression_id, position, rewrite_id, rank; level (1: only rewrites retrieved the hit, 2: `original` or a
        sub-channel of it did too); rewrites (how many retrieved the hit); is_first (1 for one of them, else 0).
    """
    shown = hit_channels.filter(hit_channels.shown)
    ranked = shown.filter(shown.channel == REWRITE, shown.rewrite_id != "", shown["rank"] >= 1)
    members = ranked.group_by("impression_id", "position", "rewrite_id").agg(rank=ranked["rank"].min())
    # Hits that rewrites retrieved are the fewer, and go into the join from both sides: no table of all hits is built.
    original = shown.filter(shown.channel.startswith(ORIGINAL)).select("impression_id", "position")
    both = original.semi_join(members, ["impression_id", "position"]).distinct().mutate(level_2=ibis.literal(2))
    joined = members.left_join(both, ["impression_id", "position"])
    hit = ibis.window(group_by=(joined.impression_id, joined.position))
    ordered = ibis.window(group_by=(joined.impression_id, joined.position), order_by=joined.rewrite_id)
    return joined.select(
        "impression_id",
        "position",
        "rewrite_id",
        rank=joined["rank"].cast("int64"),
        level=joined.level_2.fill_null(1).cast("int32"),
        rewrites=joined.rewrite_id.count().over(hit),
        is_first=as_int(ibis.row_number().over(ordered) == 0),
    )
