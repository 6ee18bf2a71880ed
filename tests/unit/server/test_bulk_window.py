"""The window of a bulk stream: what is read, what is in flight, what is sent. All in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iterqr_server.rewrite.bulk import answer_through_window
from support.virtual_time import run_in_virtual_time


class Source:
    """Numbers, and how many of them were read."""

    def __init__(self, count: int) -> None:
        self.read = 0
        self._count = count

    async def __aiter__(self) -> AsyncIterator[int]:
        for number in range(self._count):
            self.read += 1
            yield number


async def never(_answer: int) -> None:
    await asyncio.Event().wait()


@given(
    durations=st.lists(st.integers(0, 5), max_size=40),
    send_s=st.integers(0, 3),
    window=st.integers(1, 8),
)
def test_every_item_is_sent_once_and_the_window_holds(durations: list[int], send_s: int, window: int) -> None:
    async def main() -> None:
        held = most_held = sending = 0
        sent: list[int] = []

        async def answer(number: int) -> int:
            nonlocal held, most_held
            held += 1
            most_held = max(most_held, held)
            await asyncio.sleep(durations[number])
            return number

        async def send(number: int) -> None:
            nonlocal held, sending
            assert sending == 0, "one at a time"
            sending += 1
            await asyncio.sleep(send_s)
            sending -= 1
            held -= 1
            sent.append(number)

        await answer_through_window(Source(len(durations)).__aiter__(), answer, send, window)
        assert sorted(sent) == list(range(len(durations)))
        assert most_held == min(window, len(durations))

    run_in_virtual_time(main())


def test_answers_are_sent_in_order_of_completion() -> None:
    async def main() -> None:
        sent: list[int] = []

        async def answer(number: int) -> int:
            await asyncio.sleep(10 - number)
            return number

        async def send(number: int) -> None:
            sent.append(number)

        await answer_through_window(Source(3).__aiter__(), answer, send, 3)
        assert sent == [2, 1, 0]

    run_in_virtual_time(main())


def test_nothing_more_is_read_while_answers_are_not_taken() -> None:
    async def main() -> None:
        source = Source(100)

        async def answer(number: int) -> int:
            return number

        window = asyncio.create_task(answer_through_window(source.__aiter__(), answer, never, 4))
        await asyncio.sleep(1000)
        assert source.read == 4
        window.cancel()
        with pytest.raises(asyncio.CancelledError):
            await window

    run_in_virtual_time(main())


def test_the_first_error_ends_all_that_is_in_flight() -> None:
    async def main() -> None:
        ended: list[int] = []

        async def answer(number: int) -> int:
            try:
                await asyncio.sleep(1 if number == 2 else 60)
            finally:
                ended.append(number)
            raise ValueError(f"item {number}")

        with pytest.raises(ValueError, match="item 2"):
            await answer_through_window(Source(100).__aiter__(), answer, never, 4)
        assert sorted(ended) == [0, 1, 2, 3]

    run_in_virtual_time(main())


def test_cancelling_ends_all_that_is_in_flight() -> None:
    async def main() -> None:
        ended: list[int] = []

        async def answer(number: int) -> int:
            try:
                await asyncio.sleep(60)
            finally:
                ended.append(number)
            return number

        window = asyncio.create_task(answer_through_window(Source(100).__aiter__(), answer, never, 4))
        await asyncio.sleep(1)
        window.cancel()
        with pytest.raises(asyncio.CancelledError):
            await window
        assert sorted(ended) == [0, 1, 2, 3]

    run_in_virtual_time(main())
