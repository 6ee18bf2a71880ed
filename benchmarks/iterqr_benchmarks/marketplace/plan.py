"""Who searches when, decided before anybody does: sessions with their users, times and number of needs."""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Literal

from iterqr_benchmarks.marketplace.draws import Draws
from iterqr_benchmarks.marketplace.market import RegionMarket
from iterqr_benchmarks.marketplace.needs import Need
from iterqr_benchmarks.marketplace.settings import TrafficSettings
from iterqr_benchmarks.marketplace.users import User, taste_for

BotKind = Literal["", "scraper", "clicker", "fraud"]
BOT_KINDS: tuple[BotKind, ...] = ("scraper", "clicker", "fraud")
# Sessions by hour of day: breakfast, lunch and dinner.
_HOURS = (2, 1, 1, 1, 1, 1, 2, 4, 6, 5, 5, 9, 14, 11, 6, 5, 6, 10, 16, 18, 14, 9, 6, 3)
_WEEKDAYS = (9, 9, 10, 11, 14, 15, 13)  # Monday first
_ANOTHER_NEED = 0.35  # after each one, in the same session
_MOST_NEEDS = 6
_BOT_NEEDS = (5, 15)
_STEP_AT_MOST = timedelta(minutes=30)  # from one need to the next: order and pause take 22 minutes at most
_ROOM_TRIES = 50
_TASTE_TRIES = 6


@dataclass(frozen=True, slots=True)
class Session:
    """One visit. `steps`: needs that are searched for, one after the other. `bot`: "" for a person."""

    number: int
    user: User
    start: datetime
    steps: int
    bot: BotKind = ""


def plan_sessions(settings: TrafficSettings, users: Sequence[User]) -> tuple[Session, ...]:
    """Returns the sessions in the order of their starts; their steps add up to the settings' searches.

    Active users have more sessions, days and hours their usual share. A user is in one session at a time, as far as
    the run has room for so many: who orders in one what was clicked in another has no last touch that is true.
    """
    draws = Draws(settings.seed)
    activity = list(accumulate(user.activity for user in users))
    days = list(accumulate(_WEEKDAYS[(settings.start + timedelta(days=d)).weekday()] for d in range(settings.days)))
    hours = list(accumulate(_HOURS))
    visits: dict[int, list[tuple[datetime, datetime]]] = defaultdict(list)

    def draw(number: int, attempt: int) -> tuple[User, datetime]:
        def uniform(what: str) -> float:
            return draws.uniform("session", number, what, *([attempt] if attempt else []))

        user = users[bisect(activity, uniform("user") * activity[-1])]
        day = bisect(days, uniform("day") * days[-1])
        hour = bisect(hours, uniform("hour") * hours[-1])
        start = settings.start + timedelta(days=day, hours=hour + uniform("minute"))
        return user, start.replace(microsecond=0)

    def find_room(number: int) -> tuple[User, datetime]:
        length = _steps(draws, number, "") * _STEP_AT_MOST  # also for a bot, so that bots move no one else
        for attempt in range(_ROOM_TRIES):
            user, start = draw(number, attempt)
            others = visits[user.number]
            if all(start + length <= other or end <= start for other, end in others):
                break
        others.append((start, start + length))
        return user, start

    sessions: list[Session] = []
    left = settings.searches
    while left:
        number = len(sessions)
        bot = _bot(draws, number, settings.adversity.bots)
        steps = min(left, _steps(draws, number, bot))
        sessions.append(Session(number, *find_room(number), steps, bot))
        left -= steps
    return tuple(sorted(sessions, key=lambda session: (session.start, session.number)))


def hour_of(settings: TrafficSettings, session: Session) -> int:
    """Returns in which hour of the run, from 0, a session starts: its segment."""
    return int((session.start - settings.start).total_seconds() // 3_600)


def need_of(draws: Draws, session: Session, step: int, market: RegionMarket) -> Need:
    """Returns what a session's user wants at a step: by what the region wants, and by the user's taste."""
    key = (session.user.number, session.number, step)
    need = market.need_at(draws.uniform(*key, "need", 0))
    for attempt in range(1, _TASTE_TRIES):
        if draws.uniform(*key, "taste", attempt) < taste_for(session.user, need):
            break
        need = market.need_at(draws.uniform(*key, "need", attempt))
    return need


def _steps(draws: Draws, number: int, bot: BotKind) -> int:
    rng = draws.stream("session", number, "steps")
    if bot:
        return rng.randint(*_BOT_NEEDS)
    steps = 1
    while steps < _MOST_NEEDS and rng.random() < _ANOTHER_NEED:
        steps += 1
    return steps


def _bot(draws: Draws, number: int, share: float) -> BotKind:
    if draws.uniform("session", number, "bot") >= share:
        return ""
    return BOT_KINDS[int(draws.uniform("session", number, "bot kind") * len(BOT_KINDS))]
