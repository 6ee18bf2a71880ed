"""What others of the region clicked after the same query."""

from __future__ import annotations

import ibis.expr.types as ir

from iterqr_training.signals.attribution.exact import total
from iterqr_training.signals.attribution.personal_data import may_be_personal
from iterqr_training.signals.attribution.settings import AttributionSettings
from iterqr_training.signals.attribution.touches import CLICK, CREDITED


def hints(described: ir.Table, settings: AttributionSettings) -> ir.Table:
    """Returns `HINTS`: what at least `min_clients` known clients clicked, after queries that name nobody.

    Args:
        described: What `describe` returns.
        settings: `min_clients`.
    """
    clicks = described.filter(described.kind == CLICK, described.status == CREDITED, described.normalized_query != "")
    counted = clicks.group_by("region", "normalized_query", "object_id").agg(
        clicks=clicks.event_id.count().cast("int64"),
        clients=clicks.client_id.nullif("").nunique().cast("int64"),
        weighted_clicks_ppb=total(clicks.weight_ppb),
    )
    enough = counted.filter(counted.clients >= settings.min_clients)
    return enough.filter(~may_be_personal(enough.normalized_query))
