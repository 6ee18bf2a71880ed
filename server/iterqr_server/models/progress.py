"""Tells people how far a long preparation has come."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


class ProgressListener(Protocol):
    """Hears of stages, one after the other."""

    def stage(self, name: str, total: float) -> None:
        """A stage begins; `total` is its size in a unit of its own."""

    def advance(self, amount: float) -> None:
        """`amount` more of the present stage is done."""


class Silent:
    """Tells nobody."""

    def stage(self, name: str, total: float) -> None:
        """See `ProgressListener`."""

    def advance(self, amount: float) -> None:
        """See `ProgressListener`."""


class ProgressBar:
    """A bar with time left on standard error; a line for each tenth where that is no terminal. A context manager."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description:<24}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, visible=False)
        self._name, self._total, self._done, self._shown = "", 1.0, 0.0, 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def stage(self, name: str, total: float) -> None:
        """See `ProgressListener`."""
        self._bar.remove_task(self._task)
        self._task = self._bar.add_task(name, total=total)
        self._name, self._total, self._done, self._shown = name, total or 1.0, 0.0, 0

    def advance(self, amount: float) -> None:
        """See `ProgressListener`."""
        self._bar.advance(self._task, amount)
        self._done += amount
        tenths = int(10 * self._done / self._total)
        if tenths > self._shown and not self._console.is_terminal:
            self._shown = tenths
            print(f"{self._name}: {10 * tenths}%", file=sys.stderr, flush=True)


@contextmanager
def quiet_unless(shown: bool) -> Iterator[ProgressListener]:
    """Gives a progress bar, or a listener that tells nobody."""
    if shown:
        with ProgressBar() as bar:
            yield bar
    else:
        yield Silent()
