"""The purchase rule: an order belongs to the last touch of the same client and item before it."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from iterqr_training.signals.attribution.exact import as_int
from iterqr_training.signals.attribution.settings import AttributionSettings
from iterqr_training.signals.attribution.touches import CREDITED, ORDER


def credit(matched: ir.Table, settings: AttributionSettings) -> ir.Table:
    """Returns one row for each event of `match_events`, orders credited to their touch.

    An order of a known client is credited to the last touch of that client and object in the time before it, both
    ends included, whatever query id the order carries. Of touches at the same time the order's own query goes first,
    then the smallest event id. A touch is an event that names a query, also one whose page is not known: then
    nobody is credited, as an earlier touch was not the last. An order without client id can only be credited to the
    hit that it names itself.

    Returns:
        event_id, action, kind, timestamp, touch_event_id, impression_id ("" unless credited), told_query_id,
        client_id, object_id, position (null unless credited), status, value.
    """
    known = (matched.kind == ORDER) & (matched.told_client_id != "")
    by_touch = _last_touch(matched.filter(known), matched, settings)
    themselves = matched.filter(~known)
    by_itself = themselves.mutate(
        touch_event_id=ibis.ifelse(
            (themselves.kind == ORDER) & (themselves.status != CREDITED), "", themselves.event_id
        )
    )
    both = ibis.union(*(_columns(each) for each in (by_touch, by_itself)))
    return both.mutate(impression_id=both.impression_id.fill_null(""))


def _last_touch(orders: ir.Table, matched: ir.Table, settings: AttributionSettings) -> ir.Table:
    touching = matched.filter(
        matched.action.isin(settings.touch_actions),
        matched.told_query_id != "",
        matched.client_id != "",
        matched.object_id != "",
    )
    touches = touching.select(
        touch_client_id=touching.client_id,
        touch_object_id=touching.object_id,
        touch_timestamp=touching.timestamp,
        touch_query_id=touching.told_query_id,
        found_event_id=touching.event_id,
        touch_status=touching.status,
        touch_impression_id=touching.impression_id,
        touch_position=touching.position,
    )
    orders = orders.drop("status", "impression_id", "position")
    window = ibis.interval(seconds=settings.touch_window_s)
    pairs = orders.left_join(
        touches,
        [
            orders.told_client_id == touches.touch_client_id,
            orders.object_id == touches.touch_object_id,
            touches.touch_timestamp <= orders.timestamp,
            touches.touch_timestamp >= orders.timestamp - window,
        ],
    )
    last_first = ibis.window(
        group_by=pairs.event_id,
        order_by=(
            pairs.touch_timestamp.desc(),
            as_int(pairs.touch_query_id == pairs.told_query_id).desc(),
            pairs.found_event_id.asc(),
        ),
    )
    chosen = pairs.mutate(choice=ibis.row_number().over(last_first))
    chosen = chosen.filter(chosen.choice == 0)
    return chosen.mutate(
        touch_event_id=chosen.found_event_id.fill_null(""),
        status=chosen.touch_status.fill_null("no_touch"),
        impression_id=chosen.touch_impression_id,
        position=chosen.touch_position,
    )


def _columns(credited: ir.Table) -> ir.Table:
    return credited.select(
        "event_id",
        "action",
        "kind",
        "timestamp",
        "touch_event_id",
        "impression_id",
        "told_query_id",
        "client_id",
        "object_id",
        "position",
        "status",
        "value",
    )
