"""The traffic of a run: sessions, hour by hour of simulated time, played through a node as fast as it answers.

Within an hour, searches are sent in the order of their times, a few at once. An hour is a segment: its events are sent
and its part of the ledger is written when all its sessions have ended (a session belongs to the hour in which it
starts), then it counts as done. A run that was stopped plays the segment it was in again, with what the searches
showed that were already made; ids are of the run's settings, so that nothing is searched for or sent twice.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path

from filelock import FileLock, Timeout

from iterqr_benchmarks.errors import MarketplaceError
from iterqr_benchmarks.marketplace.clicks import ClickModel, popularity_of
from iterqr_benchmarks.marketplace.draws import Draws
from iterqr_benchmarks.marketplace.events import Delivery, deliveries
from iterqr_benchmarks.marketplace.journal import Journal
from iterqr_benchmarks.marketplace.ledger import Ledger, SegmentContents
from iterqr_benchmarks.marketplace.market import Market
from iterqr_benchmarks.marketplace.plan import Session, hour_of, plan_sessions
from iterqr_benchmarks.marketplace.play import Played, Stage, hides_client, play
from iterqr_benchmarks.marketplace.run_state import RunState, read_state, run_name, write_state
from iterqr_benchmarks.marketplace.settings import TrafficSettings
from iterqr_benchmarks.marketplace.summary import TrafficSummary, summarize
from iterqr_benchmarks.marketplace.transport import MarketNode, Page, SearchRequest
from iterqr_benchmarks.marketplace.users import User, make_user


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. `needs`: searched for, of the run's `searches`. `searches`: reformulations included."""

    needs: int
    searches: int
    time: datetime


def run_traffic(
    node: MarketNode,
    market: Market,
    settings: TrafficSettings,
    folder: Path,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    model: ClickModel | None = None,
) -> TrafficSummary:
    """Plays a run to its end, from where an earlier start in the same folder was stopped.

    Args:
        node: Where users search; the index has the market's dishes.
        market: The world.
        settings: Of the users and what goes wrong.
        folder: For ledger and state.
        on_progress: Called after each search.
        model: Of the users' behaviour; None for the usual.

    Raises:
        MarketplaceError: The folder is of another run or in use, or the node does not answer. What was done is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            return _Run(node, market, settings, folder, on_progress, model or ClickModel()).play()
    except Timeout as error:
        raise MarketplaceError(f"another run is at work in {folder}") from error


def users_of(settings: TrafficSettings, regions: Sequence[str]) -> tuple[User, ...]:
    """Returns the users of a run, in order of their numbers."""
    draws = Draws(settings.seed)
    skew = settings.adversity.clock_skew
    return tuple(make_user(draws, settings.seed, number, regions, skew) for number in range(settings.users))


class _Run:
    def __init__(
        self,
        node: MarketNode,
        market: Market,
        settings: TrafficSettings,
        folder: Path,
        on_progress: Callable[[Progress], None],
        model: ClickModel,
    ) -> None:
        self._node = node
        self._market = market
        self._settings = settings
        self._folder = folder
        self._on_progress = on_progress
        self._model = model
        self._name = run_name(market.settings, settings)
        self._draws = Draws(settings.seed)
        self._ledger = Ledger(folder)
        self._journal = Journal(folder)
        self._needs = 0
        self._searches = 0

    def play(self) -> TrafficSummary:
        state = read_state(self._folder, self._name)
        write_state(self._folder, state)
        self._ledger.drop_from(state.next_segment)
        before = self._ledger.read("searches")
        self._searches = before.num_rows
        self._needs = before.column("attempt").to_pylist().count(0)
        orders = Counter(self._ledger.read("orders").column("object_id").to_pylist())
        pending = list(self._ledger.pending())
        sessions = plan_sessions(self._settings, users_of(self._settings, self._market.regions))
        by_hour = [(hour, list(group)) for hour, group in groupby(sessions, lambda each: hour_of(self._settings, each))]
        last = by_hour[-1][0]
        for hour, group in by_hour:
            if hour < state.next_segment:
                continue
            began = time.monotonic()
            played = self._play_hour(group, orders)
            arriving = [*pending, *self._arriving(group, played)]
            sent, pending = self._split(arriving, hour, is_last=hour == last)
            self._node.send_events(sent)
            self._ledger.write(self._name, SegmentContents(hour, played, sent, pending))
            orders.update(
                each.visit.ordered.object_id for part in played for each in part.searches if each.visit.ordered
            )
            state = RunState(self._name, hour + 1, state.seconds + time.monotonic() - began)
            write_state(self._folder, state)
            self._journal.forget()
        return summarize(self._ledger, state.seconds)

    def _play_hour(self, sessions: Sequence[Session], orders: Counter[str]) -> list[Played]:
        """Plays sessions side by side; the earliest search that is ready goes first."""
        # What sells well shows at the end of an hour, so that the order of answers within it changes nothing.
        popularity = popularity_of(dict(orders), max(orders.values(), default=0))
        stage = Stage(self._name, self._settings, self._model, self._draws, popularity)
        known, in_doubt = self._journal.earlier()
        known |= self._node.shown(in_doubt)
        hour = _Hour(stage, self._market, sessions)
        with self._journal.open(), ThreadPoolExecutor(max_workers=self._settings.threads) as threads:
            running: dict[Future[Page], tuple[int, SearchRequest]] = {}
            try:
                while hour.ready or running:
                    while hour.ready and len(running) < self._settings.threads:
                        number, request = hour.next()
                        if request.query_id in known:
                            self._answered(hour, number, request, known[request.query_id])
                            continue
                        self._journal.sent(request.query_id)
                        running[threads.submit(self._node.search, request)] = (number, request)
                    done = wait(running, return_when=FIRST_COMPLETED).done
                    for each in done:
                        number, request = running.pop(each)
                        page = each.result()
                        self._journal.answered(request.query_id, page)
                        self._answered(hour, number, request, page)
            finally:
                for each in running:
                    each.cancel()
        return hour.played

    def _answered(self, hour: _Hour, number: int, request: SearchRequest, page: Page) -> None:
        hour.answered(number, page)
        self._searches += 1
        self._needs += hour.played[number].searches[-1].attempt == 0
        self._on_progress(Progress(self._needs, self._searches, request.time))

    def _arriving(self, sessions: Sequence[Session], played: Iterable[Played]) -> Iterable[Delivery]:
        for session, part in zip(sessions, played, strict=True):
            for event in part.events:
                yield from deliveries(
                    event,
                    self._settings.adversity,
                    self._draws,
                    clock_skew_s=0.0 if session.bot else session.user.clock_skew_s,
                    hides_client=hides_client(self._settings, self._draws, session),
                )

    def _split(
        self, arriving: Sequence[Delivery], hour: int, *, is_last: bool
    ) -> tuple[list[Delivery], list[Delivery]]:
        """What arrives by the end of the hour, in the order of arrival, and what comes later; at the end, all."""
        end = self._settings.start + timedelta(hours=hour + 1)
        in_order = sorted(arriving, key=lambda each: (each.arrives, each.document_id))
        if is_last:
            return in_order, []
        return [each for each in in_order if each.arrives < end], [each for each in in_order if each.arrives >= end]


class _Hour:
    """The sessions of an hour under way. `ready`: whether one of them has a search to send."""

    def __init__(self, stage: Stage, market: Market, sessions: Sequence[Session]) -> None:
        self.played = [Played() for _ in sessions]
        self._playing: list[Generator[SearchRequest, Page, None]] = []
        self._ready: list[tuple[datetime, int, SearchRequest]] = []
        for number, session in enumerate(sessions):
            market_of_user = market.region(session.user.region)
            self._playing.append(play(stage, session, market_of_user, self.played[number]))
            self._push(number, next(self._playing[number]))

    @property
    def ready(self) -> bool:
        return bool(self._ready)

    def next(self) -> tuple[int, SearchRequest]:
        """The earliest search, and the number of its session."""
        _, number, request = heapq.heappop(self._ready)
        return number, request

    def answered(self, number: int, page: Page) -> None:
        """Lets a session go on with the page of its search."""
        try:
            self._push(number, self._playing[number].send(page))
        except StopIteration:
            return

    def _push(self, number: int, request: SearchRequest) -> None:
        heapq.heappush(self._ready, (request.time, number, request))
