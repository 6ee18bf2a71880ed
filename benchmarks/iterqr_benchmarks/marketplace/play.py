"""Plays a session: which searches a user makes, given what each showed, and what comes of them.

A session is a generator: it yields searches, is sent the page of each, and ends. It decides and does nothing else, so
that it can be played through any node, again after a stop, and through another arm.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from iterqr_benchmarks.catalog import Dish
from iterqr_benchmarks.errors import MarketplaceError
from iterqr_benchmarks.marketplace.clicks import Click, ClickModel, Moment, Visit, visit
from iterqr_benchmarks.marketplace.draws import Draws
from iterqr_benchmarks.marketplace.events import Action, UserEvent, event_id
from iterqr_benchmarks.marketplace.market import RegionMarket, Wording
from iterqr_benchmarks.marketplace.plan import Session, need_of
from iterqr_benchmarks.marketplace.settings import TrafficSettings
from iterqr_benchmarks.marketplace.transport import Page, SearchRequest
from iterqr_benchmarks.marketplace.users import NAMESPACE

_LOOK_S = (2.0, 8.0)  # at each examined hit
_ORDER_S = (45.0, 900.0)  # from the click to the order
_RETRY_S = (8.0, 40.0)
_NEXT_NEED_S = (60.0, 400.0)
_BOT_PACE_S = 1.0


@dataclass(frozen=True, slots=True)
class SearchRecord:
    """One search as it truly was. `attempt`: 0 is the first for the need; with session and step it pairs arms."""

    request: SearchRequest
    session: Session
    session_id: str
    client_id: str
    step: int
    attempt: int
    wording: Wording
    page: Page
    satisfying: frozenset[str]
    visit: Visit

    def satisfies(self, object_id: str) -> bool:
        """Whether a hit truly satisfies the need."""
        return object_id in self.satisfying


@dataclass(slots=True)
class Played:
    """What a session has done so far, in order."""

    searches: list[SearchRecord] = field(default_factory=list)
    events: list[UserEvent] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Stage:
    """What sessions are played with. `run`: name of the run, part of all ids. `popularity`: of a dish by its id."""

    run: str
    settings: TrafficSettings
    model: ClickModel
    draws: Draws
    popularity: Callable[[str], float]


def play(stage: Stage, session: Session, market: RegionMarket, played: Played) -> Generator[SearchRequest, Page, None]:
    """Yields the session's searches in order and takes the page of each; what happens is added to `played`."""
    now = session.start
    client_id = client_of(stage.settings, session)
    told_client_id = "" if hides_client(stage.settings, stage.draws, session) else client_id
    session_id = str(uuid.uuid5(NAMESPACE, f"{stage.run}/session/{session.number}"))
    for step in range(session.steps):
        need = need_of(stage.draws, session, step, market)
        satisfying = market.satisfying(need)
        key = (session.user.number, session.number, step)
        wording = market.wording_at(need, stage.draws.uniform(*key, "wording", 0))
        attempt = 0
        while True:
            request = SearchRequest(
                query_id=str(uuid.uuid5(NAMESPACE, f"{stage.run}/query/{session.number}/{step}/{attempt}")),
                client_id=told_client_id,
                text=wording.phrase.text,
                region=market.name,
                time=now,
                size=stage.settings.page_size,
            )
            page = yield request
            moment = Moment(session.user.number, session.number, step, attempt)
            seen = _look(stage, moment, session, market, page, satisfying)
            record = SearchRecord(
                request, session, session_id, client_id, step, attempt, wording, page, satisfying, seen
            )
            played.searches.append(record)
            now = _act(stage, record, market, played)
            if not seen.retries:
                break
            attempt += 1
            wording = _reworded(stage, moment, market, wording)
            now += timedelta(seconds=_between(stage.draws, (*key, attempt, "retry after"), _RETRY_S))
        pause_s = _BOT_PACE_S if session.bot else _between(stage.draws, (*key, "next need after"), _NEXT_NEED_S)
        now += timedelta(seconds=pause_s)


def client_of(settings: TrafficSettings, session: Session) -> str:
    """Returns the client id of a session: the user's, or a bot's own."""
    if session.bot:
        return uuid.uuid5(NAMESPACE, f"{settings.seed}/bot/{session.number}").hex
    return session.user.client_id


def hides_client(settings: TrafficSettings, draws: Draws, session: Session) -> bool:
    """Tells whether a session keeps its client id to itself; bots have no reason to."""
    share = settings.adversity.missing_client_ids
    return not session.bot and draws.uniform("session", session.number, "hides client") < share


def _look(
    stage: Stage, moment: Moment, session: Session, market: RegionMarket, page: Page, satisfying: frozenset[str]
) -> Visit:
    dishes = _dishes(market, page)
    match session.bot:
        case "":
            return visit(stage.model, stage.draws, moment, session.user, dishes, satisfying, stage.popularity)
        case "scraper":
            return Visit((), None, retries=False)
        case "clicker":
            return Visit(tuple(_blind_click(dishes, i, satisfying) for i in range(len(dishes))), None, retries=False)
        case "fraud":
            if not dishes:
                return Visit((), None, retries=False)
            last = _blind_click(dishes, len(dishes) - 1, satisfying)
            return Visit((last,), last, retries=False)


def _blind_click(dishes: list[Dish], i: int, satisfying: frozenset[str]) -> Click:
    return Click(dishes[i].dish_id, i + 1, dishes[i].dish_id in satisfying, noise=True)


def _dishes(market: RegionMarket, page: Page) -> list[Dish]:
    """The dishes of a page. The search is filtered by region, so that the region has them all.

    Raises:
        MarketplaceError: It does not: the node has another world.
    """
    found = [market.dish(object_id) for object_id in page.object_ids]
    if None in found:
        strange = page.object_ids[found.index(None)]
        raise MarketplaceError(f"the node shows {strange!r}, which {market.name} does not sell: it has another world")
    return [dish for dish in found if dish is not None]


def _act(stage: Stage, record: SearchRecord, market: RegionMarket, played: Played) -> datetime:
    """Adds the events of a page; returns when the user is done with it."""
    now = record.request.time
    query_id = record.request.query_id

    def add(action: Action, click: Click, time: datetime) -> None:
        played.events.append(
            UserEvent(
                event_id=event_id(stage.run, query_id, action, click.object_id),
                action=action,
                query_id=query_id,
                client_id=record.client_id,
                session_id=record.session_id,
                time=time,
                object_id=click.object_id,
                position=click.position,
                price=market.shelf.by_id[click.object_id].price,
            )
        )

    for click in record.visit.clicks:
        pace_s = 0.2 if record.session.bot else _between(stage.draws, (query_id, "look", click.position), _LOOK_S)
        now += timedelta(seconds=pace_s)
        add("click", click, now)
    if record.visit.ordered is not None:
        now += timedelta(seconds=_between(stage.draws, (query_id, "order after"), _ORDER_S))
        add("purchase", record.visit.ordered, now)
    return now


def _reworded(stage: Stage, moment: Moment, market: RegionMarket, wording: Wording) -> Wording:
    """Another wording of the same need: often the one that most people use, else any other."""
    phrases = market.phrases(wording.need)
    key = (moment.user, moment.session, moment.step, moment.attempt)
    others = [phrase for phrase in phrases if phrase.text != wording.phrase.text]
    if not others:
        return wording
    if stage.draws.uniform(*key, "easier") < stage.model.easier:
        return market.wording(wording.need, max(others, key=lambda phrase: phrase.share))
    at = int(stage.draws.uniform(*key, "other wording") * len(others))
    return market.wording(wording.need, others[at])


def _between(draws: Draws, key: tuple[str | int, ...], limits: tuple[float, float]) -> float:
    """Seconds, to the millisecond: what is sent has no more, and the ledger is to say the same."""
    low, high = limits
    return round(low + (high - low) * draws.uniform(*key), 3)
