"""Planted events are written as an application writes UBI events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from iterqr_training.errors import SettingError
from iterqr_training.signals.attribution_check.planting import PlantedEvent, Shopper
from iterqr_training.signals.attribution_check.run import ubi_event
from iterqr_training.signals.attribution_check.settings import CheckSettings

CLIENTS = {Shopper.OWN: "c-1", Shopper.OTHER: "c-2", Shopper.UNKNOWN: ""}
BEGAN_AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


def event(query_id: str, shopper: Shopper = Shopper.OWN) -> PlantedEvent:
    return PlantedEvent("e-1", "click", query_id, "o-2", shopper, timedelta(hours=25))


def test_an_event_names_its_search_client_object_and_position() -> None:
    assert ubi_event(event("q-1"), "app", CLIENTS, {"q-1": ("o-1", "o-2")}, BEGAN_AT) == {
        "action_name": "click",
        "application": "app",
        "timestamp": "2026-01-03T04:04:05.678+00:00",
        "query_id": "q-1",
        "client_id": "c-1",
        "session_id": "c-1",
        "event_attributes": {"object": {"object_id": "o-2", "object_id_field": "_id"}, "position": {"ordinal": 2}},
    }


def test_what_is_not_known_is_not_sent() -> None:
    sent = ubi_event(event("", Shopper.UNKNOWN), "app", CLIENTS, {"q-1": ("o-1",)}, BEGAN_AT)
    assert set(sent) == {"action_name", "application", "timestamp", "event_attributes"}
    assert "position" not in sent["event_attributes"]


@pytest.mark.parametrize("wrong", [{"patience_s": 0.0}, {"patience_s": 1e6}, {"events": ""}, {"impressions": ""}])
def test_settings_out_of_limits_are_refused_by_name(wrong: dict[str, object]) -> None:
    (name,) = wrong
    with pytest.raises(SettingError, match=name):
        CheckSettings(**wrong)  # type: ignore[arg-type]
