"""A collector that is killed again and again, while users go on, loses nothing and takes nothing twice."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from iterqr_training.signals.store.reader import read_snapshot
from support.collecting import TestSignals, event, impression
from support.collecting_forks import CollectorForks
from support.plugin_search import eventually

pytestmark = pytest.mark.node

_KILLS = 24
_SEED = 6
_BULK = 25


class _Users(threading.Thread):
    """Write impressions and events without a pause, also late ones, and into new backing indices now and then."""

    def __init__(self, signals: TestSignals) -> None:
        super().__init__(name="users")
        self._signals = signals
        self._home = threading.Event()
        self.written = 0
        self._sent_long_ago: list[tuple[str, dict[str, Any]]] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._home.is_set():
                self._write()
                time.sleep(0.02)
        except BaseException as failure:  # told by the test's own thread
            self.failure = failure

    def send_home(self) -> None:
        self._home.set()
        self.join()
        if self.failure:
            raise self.failure

    def _write(self) -> None:
        signals, numbers = self._signals, range(self.written, self.written + _BULK)
        dates = [f"2026-03-{1 + number % 2:02d}T12:00:00Z" for number in numbers]
        signals.write(
            signals.events, *((f"e{number}", event(date)) for number, date in zip(numbers, dates, strict=True))
        )
        shown = [(f"i{number}", impression(date)) for number, date in zip(numbers, dates, strict=True)]
        signals.write(signals.impressions, *shown)
        if self.written % (8 * _BULK) == 0:
            signals.node.client.transport.perform_request("POST", f"/{signals.impressions}/_rollover")
            signals.write(signals.impressions, *shown[:5], *self._sent_long_ago)  # again, to the new index
            self._sent_long_ago = shown[5:10]
        self.written += _BULK


def test_killed_at_random_points_nothing_is_lost_or_taken_twice(
    signals: TestSignals,
) -> None:
    signals.create_stream()
    signals.create_events(shards=2)
    chance = random.Random(_SEED)
    arguments = [
        "collect", "--url", signals.node.url, "--folder", str(signals.folder), "--follow-s", "0.01",
        "--impressions-index", signals.impressions, "--queries-index", signals.settings.queries_index,
        "--events-index", signals.events, "--page-documents", "20", "--commit-documents", "40",
    ]  # fmt: skip
    users = _Users(signals)
    users.start()
    generations: list[int] = []
    leftovers = 0
    try:
        with CollectorForks(arguments) as collectors:
            for _ in range(_KILLS):
                collecting = collectors.start()
                if chance.random() < 0.5:
                    _wait_for_commit(signals.folder)
                time.sleep(chance.uniform(0.0, 0.6))
                os.kill(collecting, signal.SIGKILL)
                assert collectors.wait() == -signal.SIGKILL, "it collects until it is killed"
                leftovers += _leftovers(signals.folder)
                generations.append(_generation(signals.folder))
    finally:
        users.send_home()
    assert generations == sorted(generations)
    assert len(set(generations)) > _KILLS // 3, "many of them had committed something"
    assert leftovers, "some were killed in the middle of a commit"
    signals.collect()
    assert users.written > 16 * _BULK, "they sent again what had been collected long ago"
    ids = range(users.written)
    assert signals.ids("events") == {f"e{number}": 1 for number in ids}
    assert signals.ids("impressions") == {f"i{number}": 1 for number in ids}
    assert signals.ids("rewrites") == {f"i{number}": 1 for number in ids}
    assert signals.ids("hits") == {f"i{number}": 2 for number in ids}
    assert signals.ids("hit_channels") == {f"i{number}": 3 for number in ids}
    assert not _leftovers(signals.folder)


def _wait_for_commit(folder: Path) -> None:
    before = _generation(folder)
    eventually(lambda: _generation(folder) > before)


def _generation(folder: Path) -> int:
    return read_snapshot(folder).state.generation if (folder / "state.json").exists() else 0


def _leftovers(folder: Path) -> int:
    """How many files there are that no state lists."""
    if not (folder / "state.json").exists():
        return 0
    state = read_snapshot(folder).state
    listed = {file.path for file in state.files} | {retired.path for retired in state.retired}
    return len({file.relative_to(folder).as_posix() for file in folder.glob("*/date=*/*.parquet")} - listed)
