"""The page and hit that an event with a query id is about."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from iterqr_training.signals.attribution.exact import as_int
from iterqr_training.signals.attribution.settings import AttributionSettings

CLICK, ORDER, TOUCH = "click", "order", "touch"
CREDITED = "credited"


def match_events(events: ir.Table, impressions: ir.Table, hits: ir.Table, settings: AttributionSettings) -> ir.Table:
    """Returns one row for each click, touch and order, with the shown hit that it names by query id and object.

    A search may have several pages, and a page an object twice. Of the hits that fit, the one at the position that
    the event tells is meant; else that of the earliest page, then of the smallest position.

    Returns:
        event_id, action, kind, timestamp, value, object_id; told_query_id and told_client_id as in the event;
        client_id, of the page where the event has none; status (credited, no_query_id, no_impression, other_client,
        not_shown); impression_id and position, null unless credited.
    """
    done = _events_of(events, settings)
    pages = impressions.filter(impressions.query_id != "").select(
        "impression_id",
        page_query_id=impressions.query_id,
        page_client_id=impressions.client_id,
        page_timestamp=impressions.timestamp,
    )
    shown = hits.filter(hits.shown, hits.object_id != "").select(
        hit_impression_id=hits.impression_id, hit_object_id=hits.object_id, hit_position=hits.position
    )
    paged = done.left_join(pages, done.told_query_id == pages.page_query_id)
    found = paged.left_join(
        shown, [paged.impression_id == shown.hit_impression_id, paged.object_id == shown.hit_object_id]
    )
    has_page = found.impression_id.notnull()
    same_client = has_page & (
        (found.told_client_id == "") | (found.page_client_id == "") | (found.told_client_id == found.page_client_id)
    )
    candidates = found.mutate(
        has_page=as_int(has_page),
        fits=as_int(same_client),
        credited=as_int(same_client & found.hit_position.notnull()),
        agrees=as_int(found.told_position == found.hit_position),
    )
    best_first = ibis.window(
        group_by=candidates.event_id,
        order_by=(
            candidates.credited.desc(),
            candidates.fits.desc(),
            candidates.agrees.desc(),
            candidates.page_timestamp.asc(),
            candidates.hit_position.fill_null(0).asc(),
            candidates.impression_id.asc(),
        ),
    )
    best = candidates.mutate(choice=ibis.row_number().over(best_first))
    best = best.filter(best.choice == 0)
    credited = best.credited == 1
    return best.select(
        "event_id",
        "action",
        "kind",
        "timestamp",
        "value",
        "object_id",
        "told_query_id",
        "told_client_id",
        client_id=ibis.ifelse(credited & (best.told_client_id == ""), best.page_client_id, best.told_client_id),
        status=ibis.cases(
            (credited, CREDITED),
            (best.told_query_id == "", "no_query_id"),
            (best.has_page == 0, "no_impression"),
            (best.fits == 0, "other_client"),
            else_="not_shown",
        ),
        impression_id=ibis.ifelse(credited, best.impression_id, ibis.null("string")),
        position=ibis.ifelse(credited, best.hit_position, ibis.null("int32")),
    )


def _events_of(events: ir.Table, settings: AttributionSettings) -> ir.Table:
    kinds = events.mutate(
        kind=ibis.cases(
            (events.action.isin(settings.click_actions), CLICK),
            (events.action.isin(settings.purchase_actions), ORDER),
            (events.action.isin(settings.touch_actions), TOUCH),
            else_="",
        )
    )
    return kinds.filter(kinds.kind != "").select(
        "event_id",
        "action",
        "kind",
        "timestamp",
        "value",
        "object_id",
        told_query_id=kinds.query_id,
        told_client_id=kinds.client_id,
        told_position=kinds.position,
    )
