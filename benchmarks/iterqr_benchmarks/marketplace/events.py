"""What users do, as UBI 1.3.0 events, and what goes wrong with some on their way."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from iterqr_benchmarks.marketplace.draws import Draws
from iterqr_benchmarks.marketplace.settings import AdversitySettings
from iterqr_benchmarks.marketplace.users import NAMESPACE

Action = Literal["click", "purchase"]
OBJECT_ID_FIELD = "dish_id"
_MESSAGE_TYPES: dict[Action, str] = {"click": "INTERACTION", "purchase": "CONVERSION"}
_LATE_HOURS = (1.0, 24.0)
_OUT_OF_ORDER_S = (60.0, 900.0)
_DUPLICATE_S = (0.0, 120.0)


@dataclass(frozen=True, slots=True)
class UserEvent:
    """Something that a user or bot truly did. `price`: of the dish, in the marketplace's currency."""

    event_id: str
    action: Action
    query_id: str
    client_id: str
    session_id: str
    time: datetime
    object_id: str
    position: int
    price: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event as it is sent: under which document id, with which ids and time, and when it arrives.

    `event_id` is the true event's. `touched`: names of the adversities, in the order of `AdversitySettings`.
    """

    document_id: str
    event_id: str
    action: Action
    query_id: str
    client_id: str
    session_id: str
    timestamp: datetime
    object_id: str
    position: int
    price: float
    arrives: datetime
    touched: tuple[str, ...]

    def document(self, application: str) -> dict[str, Any]:
        """Returns the document for `ubi_events`; what a client does not tell is left out."""
        told: dict[str, Any] = {
            "application": application,
            "action_name": self.action,
            "session_id": self.session_id,
            "timestamp": iso(self.timestamp),
            "message_type": _MESSAGE_TYPES[self.action],
            "event_attributes": {
                "object": {
                    "object_id": self.object_id,
                    "object_id_field": OBJECT_ID_FIELD,
                    "object_detail": {"price": self.price},
                },
                "position": {"ordinal": self.position},
            },
        }
        if self.query_id:
            told["query_id"] = self.query_id
        if self.client_id:
            told["client_id"] = self.client_id
        return told


def iso(time: datetime) -> str:
    """Returns a time as ISO-8601 in UTC, with milliseconds."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def event_id(run: str, query_id: str, action: Action, object_id: str) -> str:
    """Returns the id of what was done with a hit of a search: always the same for the same deed of a run."""
    return str(uuid.uuid5(NAMESPACE, f"{run}/event/{query_id}/{action}/{object_id}"))


def deliveries(
    event: UserEvent, settings: AdversitySettings, draws: Draws, *, clock_skew_s: float, hides_client: bool
) -> Iterator[Delivery]:
    """Yields what arrives of an event: itself, and perhaps a duplicate.

    Args:
        event: What was done.
        settings: Shares of what goes wrong.
        draws: The event's id names the draws.
        clock_skew_s: How far the client's clock is ahead.
        hides_client: Whether its session tells no client id.
    """

    def hit(name: str, share: float) -> bool:
        return draws.uniform("event", event.event_id, name) < share

    def between(name: str, limits: tuple[float, float]) -> float:
        low, high = limits
        return low + (high - low) * draws.uniform("event", event.event_id, name)

    touched: list[str] = []
    delay_s = 0.0
    if hides_client:
        touched.append("missing_client_ids")
    if lost := hit("missing_query_ids", settings.missing_query_ids):
        touched.append("missing_query_ids")
    if hit("late", settings.late):
        touched.append("late")
        delay_s += 3_600 * between("late by", _LATE_HOURS)
    if hit("out_of_order", settings.out_of_order):
        touched.append("out_of_order")
        delay_s += between("out of order by", _OUT_OF_ORDER_S)
    if clock_skew_s:
        touched.append("clock_skew")
    sent = Delivery(
        document_id=event.event_id,
        event_id=event.event_id,
        action=event.action,
        query_id="" if lost else event.query_id,
        client_id="" if hides_client else event.client_id,
        session_id=event.session_id,
        timestamp=event.time + timedelta(seconds=clock_skew_s),
        object_id=event.object_id,
        position=event.position,
        price=event.price,
        arrives=event.time + timedelta(seconds=delay_s),
        touched=tuple(touched),
    )
    yield sent
    if hit("duplicates", settings.duplicates):
        yield replace(
            sent,
            document_id=str(uuid.uuid5(NAMESPACE, f"{event.event_id}/duplicate")),
            arrives=sent.arrives + timedelta(seconds=between("duplicate by", _DUPLICATE_S)),
            touched=(*touched, "duplicates"),
        )
