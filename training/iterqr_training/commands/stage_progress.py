"""Shows how long work goes, stage by stage, with the time left."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class StageProgress:
    """A bar for each stage on a terminal, else a line. A context manager; shown while it is open."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def stage(self, name: str, total: int) -> Callable[[], None]:
        """A stage of `total` steps begins. Returns what is called after each step."""
        if not self._console.is_terminal:
            self._console.print(f"… {name}: {total:,}", highlight=False, markup=False)
        task = self._progress.add_task(name, total=total)
        return lambda: self._progress.advance(task)
