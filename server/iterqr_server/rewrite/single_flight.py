"""Lets equal calls share one generation, and lets a generation outlive its callers for a while."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

P = TypeVar("P")


class FlightEnd(enum.Enum):
    """How a flight ended."""

    COMPLETE = "complete"
    FAILED = "failed"
    ABANDONED = "abandoned"


@dataclass(slots=True, eq=False)
class Flight(Generic[P]):
    """One running job. `progress` is what it has so far, readable at any time."""

    key: Hashable
    progress: P
    outlives_waiters: bool
    task: asyncio.Task[None] = field(init=False)
    waiters: int = 0
    abandon_timer: asyncio.TimerHandle | None = None


class SingleFlight(Generic[P]):
    """The running flights by key.

    A flight that `outlives_waiters` goes on in the background after its last waiter left, so that the next caller finds
    its result: at most `max_background` of them, each at most `max_background_s`; those beyond are cancelled, and so
    are the other flights. All methods are called on the event loop's thread.
    """

    def __init__(
        self,
        max_background: int,
        max_background_s: float,
        on_end: Callable[[FlightEnd, BaseException | None], None],
    ) -> None:
        self._max_background = max_background
        self._max_background_s = max_background_s
        self._on_end = on_end
        self._by_key: dict[Hashable, Flight[P]] = {}
        self._live: set[Flight[P]] = set()
        self._background: set[Flight[P]] = set()

    @property
    def running(self) -> int:
        """Flights that have not ended, those without waiters included."""
        return len(self._live)

    @property
    def background(self) -> int:
        """Flights without waiters."""
        return len(self._background)

    def find(self, key: Hashable) -> Flight[P] | None:
        """Returns the flight with this key that can still be joined."""
        flight = self._by_key.get(key)
        return flight if flight and not flight.task.done() else None

    def start(
        self, key: Hashable, progress: P, job: Callable[[P], Awaitable[None]], *, outlives_waiters: bool = True
    ) -> Flight[P]:
        """Starts `job(progress)` under a key that has no flight."""

        async def run() -> None:
            await job(progress)

        flight = Flight(key, progress, outlives_waiters)
        flight.task = asyncio.create_task(run())
        flight.task.add_done_callback(lambda _task: self._ended(flight))
        self._by_key[key] = flight
        self._live.add(flight)
        return flight

    async def wait(self, flight: Flight[P], timeout_s: float | None) -> bool:
        """Waits for the flight's end, but at most `timeout_s` if given. Returns whether it ended well.

        Raises what the flight raised. Being cancelled ends the waiting, not the flight.
        """
        flight.waiters += 1
        self._to_foreground(flight)
        try:
            await asyncio.wait({flight.task}, timeout=None if timeout_s is None else max(0.0, timeout_s))
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.task.done():
                self._to_background(flight)
        if not flight.task.done():
            return False
        if flight.task.cancelled():
            return False
        flight.task.result()
        return True

    async def close(self) -> None:
        """Cancels every flight and waits until all have ended."""
        tasks = [flight.task for flight in self._live]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _to_foreground(self, flight: Flight[P]) -> None:
        self._background.discard(flight)
        if flight.abandon_timer:
            flight.abandon_timer.cancel()
            flight.abandon_timer = None

    def _to_background(self, flight: Flight[P]) -> None:
        if not flight.outlives_waiters or len(self._background) >= self._max_background:
            self._abandon(flight)
            return
        self._background.add(flight)
        loop = asyncio.get_running_loop()
        flight.abandon_timer = loop.call_later(self._max_background_s, self._abandon, flight)

    def _abandon(self, flight: Flight[P]) -> None:
        flight.task.cancel()
        self._forget(flight)  # at once, so that nobody joins what is being cancelled

    def _forget(self, flight: Flight[P]) -> None:
        self._to_foreground(flight)
        if self._by_key.get(flight.key) is flight:
            del self._by_key[flight.key]

    def _ended(self, flight: Flight[P]) -> None:
        self._forget(flight)
        self._live.discard(flight)
        if flight.task.cancelled():
            self._on_end(FlightEnd.ABANDONED, None)
        elif error := flight.task.exception():
            self._on_end(FlightEnd.FAILED, error)
        else:
            self._on_end(FlightEnd.COMPLETE, None)
