"""Shows how a collection goes: operations seen, documents, their rate and the time left."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from iterqr_training.shown_progress import ShownProgress


class CollectProgress(ShownProgress):
    """A bar on a terminal, else nothing. A context manager; shown while it is open."""

    def __init__(self, console: Console) -> None:
        self._documents = 0
        self._task = TaskID(-1)
        self._progress = Progress(
            TextColumn("collecting"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("operations, {task.fields[documents]} documents, {task.fields[rate]} a second"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def planned(self, operations: int) -> None:
        """See `collector.Progress`."""
        self._task = self._progress.add_task("", total=operations, documents="0", rate="-")

    def seen(self, operations: int, documents: int) -> None:
        """See `collector.Progress`."""
        self._documents += documents
        elapsed_s = self._progress.tasks[0].elapsed or 0.0
        rate = f"{self._documents / elapsed_s:,.0f}" if elapsed_s else "-"
        self._progress.update(self._task, advance=operations, documents=f"{self._documents:,}", rate=rate)
