"""The tables between the stages, as Arrow schemas: what one row is (the grain) and what is unique.

Collection writes the raw tables (`RAW`), attribution reads them and writes the marts (`MARTS`). Times are UTC with
microseconds. Texts are "" where unknown, unless said otherwise. Nothing is nested, so that DuckDB and Spark read alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A table: its name, what one row is, the columns that are unique together, and its schema."""

    name: str
    grain: str
    key: tuple[str, ...]
    schema: pa.Schema


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in columns.items()])


IMPRESSIONS = TableSpec(
    "impressions",
    "one page that a search showed (one document of iterqr-impressions)",
    ("impression_id",),
    _schema(
        impression_id=pa.string(),  # the document's id
        query_id=pa.string(),
        timestamp=TIME,
        user_query=pa.string(),
        normalized_query=pa.string(),  # `iterqr_proto.rewrite_format.normalize_query` of it
        client_id=pa.string(),  # keyed hash
        application=pa.string(),
        region=pa.string(),
        experiment=pa.string(),
        bucket=pa.string(),  # control, treatment, shadow
        outcome=pa.string(),
        mode=pa.string(),
        strategy=pa.string(),
        window_size=pa.int32(),
        checkpoint_id=pa.string(),
        rewrite_ms=pa.float64(),  # null if there was none; so are the next two
        total_ms=pa.float64(),
        added_ms=pa.float64(),
    ),
)
REWRITES = TableSpec(
    "rewrites",
    "one rewrite of one impression",
    ("impression_id", "rewrite_id"),
    _schema(
        impression_id=pa.string(),
        ordinal=pa.int32(),  # 1 is the server's first
        rewrite_id=pa.string(),
        text=pa.string(),
        confidence=pa.float64(),
        source=pa.string(),
    ),
)
HITS = TableSpec(
    "hits",
    "one hit of one impression; `shown` is false for what mode shadow kept back",
    ("impression_id", "shown", "position"),
    _schema(
        impression_id=pa.string(),
        shown=pa.bool_(),
        position=pa.int32(),  # 1 is the first of the first page
        object_id=pa.string(),
        index=pa.string(),
    ),
)
HIT_CHANNELS = TableSpec(
    "hit_channels",
    "one channel that retrieved one hit",
    ("impression_id", "shown", "position", "channel", "rewrite_id"),
    _schema(
        impression_id=pa.string(),
        shown=pa.bool_(),
        position=pa.int32(),
        channel=pa.string(),  # original, original/<clause>, rewrite, matched
        rewrite_id=pa.string(),
        rank=pa.int32(),  # in the channel's window, from 1; null for matched
        score=pa.float64(),
        contribution=pa.float64(),
        team=pa.string(),  # who picked it, in team-draft interleaving
    ),
)
QUERIES = TableSpec(
    "queries",
    "one search as the application or node logged it (one document of ubi_queries)",
    ("document_id",),
    _schema(
        document_id=pa.string(),
        query_id=pa.string(),
        timestamp=TIME,
        user_query=pa.string(),
        client_id=pa.string(),  # keyed hash
        application=pa.string(),
    ),
)
EVENTS = TableSpec(
    "events",
    "one thing that a user did (one document of ubi_events), duplicates and bots still among them",
    ("event_id",),
    _schema(
        event_id=pa.string(),  # the document's id
        action=pa.string(),  # UBI action_name
        timestamp=TIME,
        query_id=pa.string(),
        client_id=pa.string(),  # keyed hash
        session_id=pa.string(),
        application=pa.string(),
        object_id=pa.string(),
        position=pa.int32(),  # event_attributes.position.ordinal; null if not told
        value=pa.float64(),  # event_attributes.object.object_detail.price, of purchases; null if not told
    ),
)
REJECTS = TableSpec(
    "rejects",
    "one document, as it was at one operation on its shard, that collection could not read; its values are not kept",
    ("index_uuid", "shard", "seq_no"),
    _schema(
        source=pa.string(),  # iterqr-impressions, ubi_queries, ubi_events
        index_uuid=pa.string(),
        shard=pa.int32(),
        seq_no=pa.int64(),
        document_id=pa.string(),
        rejected_at=TIME,  # when it was collected
        reason=pa.string(),  # missing, wrong_type, out_of_range, repeated, no_source
        field=pa.string(),  # path of the field
    ),
)
RAW = (IMPRESSIONS, REWRITES, HITS, HIT_CHANNELS, QUERIES, EVENTS)
COLLECTED = (*RAW, REJECTS)

ATTRIBUTED_EVENTS = TableSpec(
    "attributed_events",
    "one share of one click or purchase: of one rewrite, or (rewrite_id '') of the original search or of nobody",
    ("event_id", "rewrite_id"),
    _schema(
        event_id=pa.string(),
        action=pa.string(),
        kind=pa.string(),  # what the settings make of the action: click, order, or touch (a step towards an order)
        timestamp=TIME,
        touch_event_id=pa.string(),  # of an order: the touch that it belongs to, or ""; else the event itself
        # What the page tells is "" where nobody is credited; query_id is the event's own then.
        impression_id=pa.string(),
        query_id=pa.string(),
        client_id=pa.string(),
        region=pa.string(),
        normalized_query=pa.string(),
        bucket=pa.string(),
        checkpoint_id=pa.string(),
        object_id=pa.string(),
        position=pa.int32(),  # of the hit, null if unattributed
        status=pa.string(),  # credited, or why not: no_query_id, no_impression, not_shown, other_client, no_touch
        level=pa.int32(),  # 1: only rewrites retrieved it. 2: the original too. 0: no rewrite did. Or null
        exclusive=pa.bool_(),  # level 1 and one rewrite alone
        rewrite_id=pa.string(),
        rewrite_text=pa.string(),
        share_ppb=pa.int64(),  # billionths; of one credited event they add up to 10**9 exactly
        weight_ppb=pa.int64(),  # inverse examination of the position, clipped, in billionths; 0 if not credited
        value=pa.float64(),  # of the whole event, whatever the share
    ),
)
REWRITE_OUTCOMES = TableSpec(
    "rewrite_outcomes",
    "what one rewrite of one query did in one region under one checkpoint",
    ("region", "normalized_query", "rewrite_id", "checkpoint_id"),
    _schema(
        region=pa.string(),
        normalized_query=pa.string(),
        rewrite_id=pa.string(),
        checkpoint_id=pa.string(),
        rewrite_text=pa.string(),
        impressions=pa.int64(),  # pages whose search had the rewrite
        clients=pa.int64(),  # distinct, who saw a hit of it
        hits=pa.int64(),  # shown hits it retrieved
        level1_hits=pa.int64(),
        examined_ppb=pa.int64(),  # sum over level-1 hits of the examination probability of their position
        level1_clicks_ppb=pa.int64(),  # shares added up; so are the next
        level2_clicks_ppb=pa.int64(),
        level1_orders_ppb=pa.int64(),
        level2_orders_ppb=pa.int64(),
        exclusive_clicks=pa.int64(),
        exclusive_orders=pa.int64(),
        click_rate=pa.float64(),  # level-1 clicks for each examined level-1 hit, shrunk to the prior; null if none
        confidence=pa.float64(),  # 0 to 1: how much exposure stands behind click_rate
    ),
)
QUERY_OUTCOMES = TableSpec(
    "query_outcomes",
    "one search (all pages of a query id)",
    ("query_id",),
    _schema(
        query_id=pa.string(),
        timestamp=TIME,  # of its first page
        client_id=pa.string(),
        region=pa.string(),
        normalized_query=pa.string(),
        experiment=pa.string(),
        bucket=pa.string(),
        outcome=pa.string(),  # of its first page
        checkpoint_id=pa.string(),
        pages=pa.int64(),
        hits=pa.int64(),
        rewrites=pa.int64(),
        level1_hits=pa.int64(),  # new results that rewrites added
        clicks=pa.int64(),
        level1_clicks=pa.int64(),
        orders=pa.int64(),
        level1_orders=pa.int64(),
        value=pa.float64(),  # of its orders
    ),
)
HINTS = TableSpec(
    "hints",
    "one object that users of a region clicked after a query",
    ("region", "normalized_query", "object_id"),
    _schema(
        region=pa.string(),
        normalized_query=pa.string(),
        object_id=pa.string(),
        clicks=pa.int64(),
        clients=pa.int64(),  # distinct
        weighted_clicks_ppb=pa.int64(),
    ),
)
EXAMINATION = TableSpec(
    "examination",
    "one position; deeper ones are as the last",
    ("position",),
    _schema(
        position=pa.int32(),
        examination_ppb=pa.int64(),  # probability that it is looked at, beside that of position 1
        weight_ppb=pa.int64(),  # its inverse, clipped
        evidence_clicks=pa.float64(),  # harvested clicks behind its ratio to the position before
    ),
)
MARTS = (ATTRIBUTED_EVENTS, REWRITE_OUTCOMES, QUERY_OUTCOMES, HINTS, EXAMINATION)
