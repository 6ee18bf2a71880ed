"""The check from planting to verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from iterqr_training.errors import CheckFailedError
from iterqr_training.signals.attribution_check.cases import WINDOW_SIZE
from iterqr_training.signals.attribution_check.channels import ChannelWindow, Observed
from iterqr_training.signals.attribution_check.comparison import CaseResult, attribution_problems, planting_problems
from iterqr_training.signals.attribution_check.live_system import AnsweredPage, LiveSystem
from iterqr_training.signals.attribution_check.page_token import pin
from iterqr_training.signals.attribution_check.planting import Case, PlantedEvent, PlantedSearch, Shopper

_CANDIDATES = 32
"""Client ids to try: some are in the control arm of an experiment, or not among the sampled."""

_POLL_S = 0.2
_UNTREATED = frozenset({"control", "shadow"})
_FUSED = "fused"


@dataclass(frozen=True, slots=True)
class PlantedSignals:
    """What is to be collected and attributed.

    Attributes:
        application: Of the check's searches, queries and events, and of no others.
        query_ids: Of the searches whose impressions are written.
        event_ids: Of the events that are written.
    """

    application: str
    query_ids: frozenset[str]
    event_ids: frozenset[str]


Measure = Callable[[PlantedSignals], pa.Table]
"""Collects and attributes planted signals as is done with all others; returns `ATTRIBUTED_EVENTS` of them."""


def check_attribution(
    system: LiveSystem, cases: Sequence[Case], measure: Measure, *, patience_s: float
) -> tuple[CaseResult, ...]:
    """Plants the cases, has them attributed and compares; takes away what was planted, however it ends.

    Returns:
        Every case, holding or not.

    Raises:
        CheckFailedError: The system does not let it be proved: no rewrites, no impressions, other retrieval.
        SourceError: The node does not answer as it should.
    """
    with system.planted([document for case in cases for document in case.documents]):
        client_id = _logged_client(system, cases[0].searches[0], patience_s)
        observed = [_observe(system, search, client_id) for case in cases for search in case.searches]
        _expect_no([problem for case in cases for problem in planting_problems(case, observed)])
        began_at = datetime.now(UTC)
        query_ids = frozenset(each.query_id for each in observed)
        _await_impressions(system, query_ids, patience_s)
        events = [event for case in cases for event in case.events]
        clients = {Shopper.OWN: client_id, Shopper.OTHER: f"{client_id}-other", Shopper.UNKNOWN: ""}
        shown = {each.query_id: each.shown for each in observed}
        system.send([(each.event_id, ubi_event(each, system.application, clients, shown, began_at)) for each in events])
        event_ids = frozenset(each.event_id for each in events)
        attributed = measure(PlantedSignals(system.application, query_ids, event_ids))
        return tuple(attribution_problems(case, observed, attributed) for case in cases)


def ubi_event(
    event: PlantedEvent,
    application: str,
    clients: Mapping[Shopper, str],
    shown: Mapping[str, Sequence[str]],
    began_at: datetime,
) -> dict[str, Any]:
    """Returns the document of UBI 1.3.0 that an application would send.

    Args:
        event: As planted.
        application: Of the run.
        clients: Client id of each shopper; "" is not sent.
        shown: The page of each search, by query id.
        began_at: When the searches had been made.
    """
    attributes: dict[str, Any] = {"object": {"object_id": event.object_id, "object_id_field": "_id"}}
    page = shown.get(event.query_id, ())
    if event.object_id in page:
        attributes["position"] = {"ordinal": page.index(event.object_id) + 1}
    document = {
        "action_name": event.action,
        "application": application,
        "timestamp": (began_at + event.after).isoformat(timespec="milliseconds"),
        "event_attributes": attributes,
    }
    ids = {"query_id": event.query_id, "client_id": clients[event.shopper], "session_id": clients[event.shopper]}
    return document | {name: value for name, value in ids.items() if value}


def _logged_client(system: LiveSystem, search: PlantedSearch, patience_s: float) -> str:
    """Returns a client id whose searches are rewritten and logged with it."""
    candidates = [f"{search.query_id}-client-{number}" for number in range(1, _CANDIDATES + 1)]
    treated = {}
    for candidate in candidates:
        page = system.page(f"{candidate}-probe", search.query, candidate)
        if page.outcome not in _UNTREATED:
            _expect_token(page)
            treated[f"{candidate}-probe"] = candidate
    if not treated:
        raise CheckFailedError(f"none of {_CANDIDATES} clients gets rewrites: all are in control or shadow")
    deadline = time.monotonic() + patience_s
    while True:
        for impression in system.logged():
            if impression.query_id in treated:
                if not impression.has_client_id:
                    raise CheckFailedError(
                        "impressions have no client ids: the node's keystore has no plugins.iterqr.client_id.hash_key"
                    )
                return treated[impression.query_id]
        if time.monotonic() > deadline:
            raise CheckFailedError(
                f"no impression of {len(treated)} searches was written in {patience_s:g} s: look at "
                "plugins.iterqr.impressions.enabled and sample_rate, and at GET /_plugins/_iterqr/stats"
            )
        time.sleep(_POLL_S)


def _observe(system: LiveSystem, search: PlantedSearch, client_id: str) -> Observed:
    first = system.page(f"{search.query_id}-token", search.query, client_id)
    _expect_token(first)
    pinned = pin(first.page_token, search.rewrites, WINDOW_SIZE)
    page = system.page(search.query_id, search.query, client_id, pinned)
    _expect_fused(page)
    windows = [ChannelWindow("", system.window(search.query))]
    windows += [ChannelWindow(each.rewrite_id, system.window(each.text)) for each in search.rewrites]
    return Observed(search.query_id, tuple(windows), page.shown)


def _expect_token(page: AnsweredPage) -> None:
    if not page.page_token:
        raise CheckFailedError(
            f"a search came to outcome {page.outcome} and no page token: the rewrite server must answer"
        )


def _expect_fused(page: AnsweredPage) -> None:
    if page.outcome != _FUSED:
        raise CheckFailedError(f"a search with pinned rewrites came to outcome {page.outcome}, not {_FUSED}")


def _expect_no(problems: Sequence[str]) -> None:
    if problems:
        raise CheckFailedError("the node does not retrieve what was planted: " + "; ".join(problems))


def _await_impressions(system: LiveSystem, query_ids: frozenset[str], patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while missing := query_ids - {each.query_id for each in system.logged()}:
        if time.monotonic() > deadline:
            raise CheckFailedError(
                f"impressions of {len(missing)} of {len(query_ids)} searches were not written in {patience_s:g} s"
            )
        time.sleep(_POLL_S)
