"""Shows how the loop goes: a line for each stage, and on a terminal what goes on and about how long it takes yet."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from iterqr_training.loop.loop_log import LoopLog
from iterqr_training.loop.machine import planned
from iterqr_training.loop.stage import DoneStage, Stage
from iterqr_training.loop.time_left import seconds_left
from iterqr_training.shown_progress import ShownProgress


class LoopProgress(ShownProgress):
    """See `LoopListener`. A context manager; shown while it is open."""

    def __init__(self, console: Console, iterations: int, log: LoopLog) -> None:
        self._console = console
        self._iterations = iterations
        self._log = log
        self._progress = Progress(
            TextColumn("{task.description:<26}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", style="dim"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None, left="")

    def begins(self, iteration: int, stage: Stage) -> None:
        """See `LoopListener`."""
        name = self._name(iteration, stage)
        self._progress.remove_task(self._task)
        self._task = self._progress.add_task(name, total=None, left=self._left())
        if not self._console.is_terminal:
            self._console.print(f"… {name:<26}{self._left()}".rstrip(), highlight=False, markup=False)

    def ended(self, iteration: int, stage: Stage, done: DoneStage) -> None:
        """See `LoopListener`."""
        mark = "✗" if done.outcome.refusal else "✓"
        words = done.outcome.refusal or str(done.outcome.facts.get("problem", ""))
        line = f"{mark} {self._name(iteration, stage):<26}{done.seconds:8.1f} s  {words}".rstrip()
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def searched(self, done: int, of: int) -> None:
        """Searches that are done, of so many; see `OnProgress`."""
        self._progress.update(self._task, completed=done, total=of)

    def _name(self, iteration: int, stage: Stage) -> str:
        return f"{'last round' if iteration > self._iterations else f'iteration {iteration}'}: {stage}"

    def _left(self) -> str:
        refused = [number for number, _ in planned(self._iterations) if self._log.refusal(number)]
        left = seconds_left(self._iterations, self._log.seconds(), refused)
        return "" if left is None else f"about {left / 60:,.0f} min left"
