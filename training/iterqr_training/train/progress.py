"""Shows how a run goes: preparation, then steps with loss, tokens a second and the time left."""

from __future__ import annotations

from typing import Protocol

from iterqr_server.models.progress import ProgressListener
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from iterqr_training.shown_progress import ShownProgress


class TrainListener(ProgressListener, Protocol):
    """Hears how a run goes: stages of the preparation (see `ProgressListener`), then of the steps."""

    def begins(self, step: int, steps: int) -> None:
        """Training begins, or goes on after `step`."""

    def stepped(self, step: int, loss: float, tokens_per_second: float) -> None:
        """A step is done."""

    def says(self, message: str) -> None:
        """Something a person should know."""


class Quiet:
    """Tells nobody."""

    def stage(self, name: str, total: float) -> None:
        """See `ProgressListener`."""

    def advance(self, amount: float) -> None:
        """See `ProgressListener`."""

    def begins(self, step: int, steps: int) -> None:
        """See `TrainListener`."""

    def stepped(self, step: int, loss: float, tokens_per_second: float) -> None:
        """See `TrainListener`."""

    def says(self, message: str) -> None:
        """See `TrainListener`."""


class TrainProgress(ShownProgress):
    """A bar on a terminal, a line for each twentieth elsewhere. A context manager; shown while it is open."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description:<12}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = TaskID(-1)
        self._steps = 1

    def stage(self, name: str, total: float) -> None:
        """See `ProgressListener`."""
        self._next(name, int(total))

    def advance(self, amount: float) -> None:
        """See `ProgressListener`."""
        self._progress.advance(self._task, amount)

    def begins(self, step: int, steps: int) -> None:
        """See `TrainListener`."""
        self._steps = steps
        self._next("training", steps)
        self._progress.update(self._task, completed=step)

    def stepped(self, step: int, loss: float, tokens_per_second: float) -> None:
        """See `TrainListener`."""
        told = f"loss {loss:.3f}, {tokens_per_second:,.0f} tokens/s"
        self._progress.update(self._task, completed=step, told=told)
        if not self._console.is_terminal and step * 20 // self._steps > (step - 1) * 20 // self._steps:
            self._console.print(f"step {step} of {self._steps}: {told}", highlight=False)

    def says(self, message: str) -> None:
        """See `TrainListener`."""
        self._progress.console.print(message, highlight=False, markup=False)

    def _next(self, name: str, total: int) -> None:
        if self._task != TaskID(-1):
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(name, total=total or None, told="")
        if not self._console.is_terminal:
            self._console.print(f"… {name}", highlight=False)
