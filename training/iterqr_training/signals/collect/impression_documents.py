"""Documents of `iterqr-impressions`, as the plugin writes them, to rows."""

from __future__ import annotations

from iterqr_proto.rewrite_format import normalize_query

from iterqr_training.signals.collect.fields import (
    Json,
    MalformedDocumentError,
    Reason,
    find,
    integer,
    number,
    objects,
    text,
    time,
)
from iterqr_training.signals.collect.rows import HitChannelRow, HitRow, ImpressionRow, ImpressionRows, RewriteRow

FIELDS = (
    "@timestamp", "query_id", "user_query", "client_id", "application", "region", "experiment", "checkpoint_id",
    "outcome", "mode", "strategy", "window_size", "rewrites", "hits", "shadow_hits",
    "timings.rewrite_ms", "timings.total_ms", "timings.added_ms",
)  # fmt: skip
"""What of a document is read."""


def impression_rows(document_id: str, source: Json) -> ImpressionRows:
    """Reads one impression. Client ids are hashed already.

    Raises:
        MalformedDocumentError: A field is missing or not as the plugin writes it; then nothing of it is taken.
    """
    user_query = text(source, "user_query")
    if find(source, "hits") is None:  # the plugin writes an empty list where nothing was shown
        raise MalformedDocumentError(Reason.MISSING, "hits")
    shown, shown_channels = _hits(document_id, source, "hits", shown=True)
    kept_back, kept_back_channels = _hits(document_id, source, "shadow_hits", shown=False)
    return ImpressionRows(
        impression=ImpressionRow(
            impression_id=document_id,
            query_id=text(source, "query_id", required=True),
            timestamp=time(source, "@timestamp"),
            user_query=user_query,
            normalized_query=normalize_query(user_query),
            client_id=text(source, "client_id"),
            application=text(source, "application"),
            region=text(source, "region"),
            experiment=text(source, "experiment.name"),
            bucket=text(source, "experiment.bucket"),
            outcome=text(source, "outcome", required=True),
            mode=text(source, "mode"),
            strategy=text(source, "strategy"),
            window_size=integer(source, "window_size"),
            checkpoint_id=text(source, "checkpoint_id"),
            rewrite_ms=number(source, "timings.rewrite_ms"),
            total_ms=number(source, "timings.total_ms"),
            added_ms=number(source, "timings.added_ms"),
        ),
        rewrites=_rewrites(document_id, source),
        hits=(*shown, *kept_back),
        hit_channels=(*shown_channels, *kept_back_channels),
    )


def _rewrites(document_id: str, source: Json) -> tuple[RewriteRow, ...]:
    path = "rewrites"
    rows = tuple(
        RewriteRow(
            impression_id=document_id,
            ordinal=ordinal,
            rewrite_id=text(rewrite, "rewrite_id", within=path, required=True),
            text=text(rewrite, "text", within=path),
            confidence=number(rewrite, "score", within=path),
            source=text(rewrite, "source", within=path),
        )
        for ordinal, rewrite in enumerate(objects(source, path), 1)
    )
    if len({row.rewrite_id for row in rows}) < len(rows):
        raise MalformedDocumentError(Reason.REPEATED, "rewrites.rewrite_id")
    return rows


def _hits(document_id: str, source: Json, path: str, *, shown: bool) -> tuple[list[HitRow], list[HitChannelRow]]:
    hits: list[HitRow] = []
    channels: list[HitChannelRow] = []
    for hit in objects(source, path):
        row = HitRow(
            impression_id=document_id,
            shown=shown,
            position=integer(hit, "position", within=path, least=1, required=True) or 0,
            object_id=text(hit, "object_id", within=path, required=True),
            index=text(hit, "index", within=path),
        )
        hits.append(row)
        channels.extend(_channels(row, hit, path))
    if len({hit.position for hit in hits}) < len(hits):
        raise MalformedDocumentError(Reason.REPEATED, f"{path}.position")
    if len({(row.position, row.channel, row.rewrite_id) for row in channels}) < len(channels):
        raise MalformedDocumentError(Reason.REPEATED, f"{path}.channels")
    return hits, channels


def _channels(row: HitRow, hit: Json, path: str) -> list[HitChannelRow]:
    inside = f"{path}.channels"
    return [
        HitChannelRow(
            impression_id=row.impression_id,
            shown=row.shown,
            position=row.position,
            channel=text(channel, "name", within=inside, required=True),
            rewrite_id=text(channel, "rewrite_id", within=inside),
            rank=integer(channel, "rank", within=inside, least=1),
            score=number(channel, "score", within=inside),
            contribution=number(channel, "contribution", within=inside),
            team=text(channel, "team", within=inside),
        )
        for channel in objects(hit, "channels", within=path)
    ]
