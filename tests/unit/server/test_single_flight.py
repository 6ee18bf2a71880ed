"""Equal calls share one job; jobs outlive their callers, within bounds. All in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from iterqr_server.rewrite.single_flight import Flight, FlightEnd, SingleFlight
from support.virtual_time import run_in_virtual_time

Steps = list[str]


class Ends:
    def __init__(self) -> None:
        self.counts: Counter[FlightEnd] = Counter()
        self.errors: list[BaseException] = []

    def __call__(self, end: FlightEnd, error: BaseException | None) -> None:
        self.counts[end] += 1
        if error:
            self.errors.append(error)


def make(max_background: int = 4, max_background_s: float = 10.0) -> tuple[SingleFlight[Steps], Ends]:
    ends = Ends()
    return SingleFlight(max_background, max_background_s, ends), ends


async def three_seconds(progress: Steps) -> None:
    for second in ("one", "two", "three"):
        await asyncio.sleep(1)
        progress.append(second)


async def fails(_progress: Steps) -> None:
    await asyncio.sleep(1)
    raise ValueError("broken")


def test_a_waiter_gets_the_end_or_its_own_timeout() -> None:
    async def main() -> None:
        flights, ends = make()
        loop = asyncio.get_running_loop()
        started = loop.time()
        flight = flights.start("key", [], three_seconds)

        async def wait(timeout_s: float) -> tuple[bool, float, list[str]]:
            ended = await flights.wait(flight, timeout_s)
            return ended, round(loop.time() - started, 6), list(flight.progress)

        short, long = await asyncio.gather(wait(1.5), wait(60))
        assert short == (False, 1.5, ["one"])
        assert long == (True, 3.0, ["one", "two", "three"])
        assert ends.counts == {FlightEnd.COMPLETE: 1}
        assert flights.running == 0

    run_in_virtual_time(main())


def test_a_running_flight_is_found_and_an_ended_one_is_not() -> None:
    async def main() -> None:
        flights, _ = make()
        flight = flights.start("key", [], three_seconds)
        assert flights.find("key") is flight
        assert flights.find("other") is None
        assert await flights.wait(flight, 60)
        assert flights.find("key") is None

    run_in_virtual_time(main())


def test_a_flight_goes_on_when_all_its_waiters_are_cancelled() -> None:
    async def main() -> None:
        flights, ends = make()
        flight = flights.start("key", [], three_seconds)
        waiters = [asyncio.create_task(flights.wait(flight, 60)) for _ in range(2)]
        await asyncio.sleep(0.5)
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)
        assert flights.background == 1
        await asyncio.sleep(3)
        assert flight.progress == ["one", "two", "three"]
        assert ends.counts == {FlightEnd.COMPLETE: 1}
        assert flights.background == 0

    run_in_virtual_time(main())


def test_a_background_flight_is_abandoned_after_its_time() -> None:
    async def main() -> None:
        flights, ends = make(max_background_s=1.5)
        flight = flights.start("key", [], three_seconds)
        assert not await flights.wait(flight, 1.0)
        await asyncio.sleep(1.4)
        assert flights.find("key") is flight
        await asyncio.sleep(0.2)
        assert flights.find("key") is None
        assert ends.counts == {FlightEnd.ABANDONED: 1}

    run_in_virtual_time(main())


def test_a_new_waiter_brings_a_background_flight_back() -> None:
    async def main() -> None:
        flights, ends = make(max_background_s=1.5)
        flight = flights.start("key", [], three_seconds)
        assert not await flights.wait(flight, 1.0)
        await asyncio.sleep(1.0)
        assert await flights.wait(flight, 60), "its background time must not run on while somebody waits"
        assert ends.counts == {FlightEnd.COMPLETE: 1}

    run_in_virtual_time(main())


def test_background_flights_beyond_the_limit_are_cancelled_at_once() -> None:
    async def main() -> None:
        flights, ends = make(max_background=1)
        first = flights.start("first", [], three_seconds)
        second = flights.start("second", [], three_seconds)
        assert not await flights.wait(first, 0.5)
        assert not await flights.wait(second, 0.5)
        assert flights.find("second") is None
        assert flights.find("first") is first
        await asyncio.sleep(5)
        assert ends.counts == {FlightEnd.COMPLETE: 1, FlightEnd.ABANDONED: 1}

    run_in_virtual_time(main())


def test_every_waiter_gets_the_error_and_the_next_call_starts_anew() -> None:
    async def main() -> None:
        flights, ends = make()
        flight = flights.start("key", [], fails)
        results = await asyncio.gather(*(flights.wait(flight, 60) for _ in range(2)), return_exceptions=True)
        assert [str(result) for result in results] == ["broken", "broken"]
        assert ends.counts == {FlightEnd.FAILED: 1}
        assert flights.find("key") is None

    run_in_virtual_time(main())


def test_an_error_without_waiters_is_reported_once() -> None:
    async def main() -> None:
        flights, ends = make()
        flight = flights.start("key", [], fails)
        assert not await flights.wait(flight, 0.1)
        await asyncio.sleep(2)
        assert [str(error) for error in ends.errors] == ["broken"]

    run_in_virtual_time(main())


def test_a_flight_that_must_not_outlive_its_waiters_ends_with_the_last() -> None:
    async def main() -> None:
        flights, ends = make()
        flight = flights.start("key", [], three_seconds, outlives_waiters=False)
        waiters = [asyncio.create_task(flights.wait(flight, None)) for _ in range(2)]
        await asyncio.sleep(0.5)
        waiters[0].cancel()
        await asyncio.sleep(0)
        assert flights.find("key") is flight
        waiters[1].cancel()
        await asyncio.wait(waiters)
        assert flights.find("key") is None
        await asyncio.wait({flight.task})
        assert ends.counts == {FlightEnd.ABANDONED: 1}

    run_in_virtual_time(main())


@pytest.mark.parametrize("timeout_s", [0.0, -5.0])
def test_a_deadline_in_the_past_returns_at_once(timeout_s: float) -> None:
    async def main() -> None:
        flights, _ = make()
        loop = asyncio.get_running_loop()
        flight = flights.start("key", [], three_seconds)
        started = loop.time()
        assert not await flights.wait(flight, timeout_s)
        assert loop.time() == started
        await flights.close()

    run_in_virtual_time(main())


def test_close_ends_flights_and_their_waiters() -> None:
    async def main() -> None:
        flights, ends = make()
        flight: Flight[Steps] = flights.start("key", [], three_seconds)
        waiter = asyncio.create_task(flights.wait(flight, 60))
        await asyncio.sleep(0.5)
        await flights.close()
        assert not await waiter
        assert flight.task.cancelled()
        assert ends.counts == {FlightEnd.ABANDONED: 1}
        assert flights.running == 0

    run_in_virtual_time(main())
