"""Documents of UBI 1.3.0, `ubi_queries` and `ubi_events`, to rows. Client ids are hashed here."""

from __future__ import annotations

from iterqr_training.signals.collect.client_ids import ClientIdHasher, is_hash
from iterqr_training.signals.collect.fields import Json, MalformedDocumentError, find, integer, number, text, time
from iterqr_training.signals.collect.rows import EventRow, QueryRow

_OURS = "query_attributes.iterqr"
_PRICE = "event_attributes.object.object_detail.price"
_OBJECT_ID = "event_attributes.object.object_id"
_ORDINAL = "event_attributes.position.ordinal"
QUERY_FIELDS = ("query_id", "timestamp", "user_query", "client_id", "application", f"{_OURS}.outcome")
"""What of a query is read."""
EVENT_FIELDS = (
    "action_name", "timestamp", "query_id", "client_id", "session_id", "application", _OBJECT_ID, _ORDINAL, _PRICE,
)  # fmt: skip
"""What of an event is read."""


def query_row(document_id: str, source: Json, hasher: ClientIdHasher) -> QueryRow:
    """Reads one query. One that a node with our plugin wrote has its client id hashed already.

    Raises:
        MalformedDocumentError: A field is missing or not as UBI says.
    """
    client_id = text(source, "client_id")
    hashed = is_hash(client_id) and find(source, _OURS) is not None
    return QueryRow(
        document_id=document_id,
        query_id=text(source, "query_id", required=True),
        timestamp=time(source, "timestamp"),
        user_query=text(source, "user_query"),
        client_id=client_id if hashed else hasher.hash(client_id),
        application=text(source, "application"),
    )


def event_row(document_id: str, source: Json, hasher: ClientIdHasher) -> EventRow:
    """Reads one event. Applications write prices as they like: one that is no number is not told.

    Raises:
        MalformedDocumentError: A field is missing or not as UBI says.
    """
    return EventRow(
        event_id=document_id,
        action=text(source, "action_name", required=True),
        timestamp=time(source, "timestamp"),
        query_id=text(source, "query_id"),
        client_id=hasher.hash(text(source, "client_id")),
        session_id=text(source, "session_id"),
        application=text(source, "application"),
        object_id=text(source, _OBJECT_ID),
        position=integer(source, _ORDINAL),
        value=_price(source),
    )


def _price(source: Json) -> float | None:
    try:
        return number(source, _PRICE)
    except MalformedDocumentError:
        return None
