"""Rows of the raw tables, as documents become them.

Names are those of the tables' columns; times are in microseconds since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImpressionRow:
    """See `tables.IMPRESSIONS`."""

    impression_id: str
    query_id: str
    timestamp: int
    user_query: str
    normalized_query: str
    client_id: str
    application: str
    region: str
    experiment: str
    bucket: str
    outcome: str
    mode: str
    strategy: str
    window_size: int | None
    checkpoint_id: str
    rewrite_ms: float | None
    total_ms: float | None
    added_ms: float | None


@dataclass(frozen=True, slots=True)
class RewriteRow:
    """See `tables.REWRITES`."""

    impression_id: str
    ordinal: int
    rewrite_id: str
    text: str
    confidence: float | None
    source: str


@dataclass(frozen=True, slots=True)
class HitRow:
    """See `tables.HITS`."""

    impression_id: str
    shown: bool
    position: int
    object_id: str
    index: str


@dataclass(frozen=True, slots=True)
class HitChannelRow:
    """See `tables.HIT_CHANNELS`."""

    impression_id: str
    shown: bool
    position: int
    channel: str
    rewrite_id: str
    rank: int | None
    score: float | None
    contribution: float | None
    team: str


@dataclass(frozen=True, slots=True)
class QueryRow:
    """See `tables.QUERIES`."""

    document_id: str
    query_id: str
    timestamp: int
    user_query: str
    client_id: str
    application: str


@dataclass(frozen=True, slots=True)
class EventRow:
    """See `tables.EVENTS`."""

    event_id: str
    action: str
    timestamp: int
    query_id: str
    client_id: str
    session_id: str
    application: str
    object_id: str
    position: int | None
    value: float | None


@dataclass(frozen=True, slots=True)
class RejectRow:
    """See `tables.REJECTS`."""

    source: str
    index_uuid: str
    shard: int
    seq_no: int
    document_id: str
    rejected_at: int
    reason: str
    field: str


@dataclass(frozen=True, slots=True)
class ImpressionRows:
    """All rows of one impression."""

    impression: ImpressionRow
    rewrites: tuple[RewriteRow, ...]
    hits: tuple[HitRow, ...]
    hit_channels: tuple[HitChannelRow, ...]
