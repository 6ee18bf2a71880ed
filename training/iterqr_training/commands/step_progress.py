"""Shows the steps of a command: a bar where it is known how much there is to do, with the time left."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from iterqr_training.shown_progress import ShownProgress


class StepProgress(ShownProgress):
    """Bars on a terminal, else a line for each step. A context manager; shown while it is open."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def start(self, step: str, total: int | None) -> Callable[[int], None]:
        """Begins a step. Returns what is called with how much was done since."""
        if not self._console.is_terminal:
            of = "" if total is None else f", {total:,}"
            self._console.print(f"… {step}{of}", highlight=False, markup=False, soft_wrap=True)
        task = self._progress.add_task(step, total=total)
        return lambda done: self._progress.advance(task, done)

    def stage(self, name: str, total: int) -> Callable[[], None]:
        """Begins a step of so many equal parts. Returns what is called after each."""
        advance = self.start(name, total)
        return lambda: advance(1)
