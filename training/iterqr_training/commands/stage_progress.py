"""Shows how stages go: a line for each, and on a terminal what goes on and about how long it takes yet."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from iterqr_training.loop.stage import DoneStage
from iterqr_training.shown_progress import ShownProgress

_WIDTH = 26


class StageProgress(ShownProgress):
    """A context manager; shown while it is open."""

    def __init__(self, console: Console, width: int = _WIDTH) -> None:
        """`width`: of names."""
        self._console = console
        self._width = width
        self._progress = Progress(
            TextColumn(f"{{task.description:<{width}}}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", style="dim"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None, left="")

    def searched(self, done: int, of: int) -> None:
        """Searches that are done, of so many; see `OnProgress`."""
        self._progress.update(self._task, completed=done, total=of)

    def _show_begin(self, name: str, seconds_left: float | None) -> None:
        left = "" if seconds_left is None else f"about {seconds_left / 60:,.0f} min left"
        self._progress.remove_task(self._task)
        self._task = self._progress.add_task(name, total=None, left=left)
        if not self._console.is_terminal:
            self._console.print(f"… {name:<{self._width}}{left}".rstrip(), highlight=False, markup=False)

    def _show_end(self, name: str, done: DoneStage, words: str) -> None:
        mark = "✗" if done.outcome.refusal else "✓"
        line = f"{mark} {name:<{self._width}}{done.seconds:8.1f} s  {words}".rstrip()
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
