"""Shows how far simulated traffic is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from iterqr_benchmarks.marketplace.traffic import Progress as TrafficProgress

_LINES_WITHOUT_TERMINAL = 20


@contextmanager
def progress_bar(console: Console, searches: int) -> Iterator[Callable[[TrafficProgress], None]]:
    """Shows how far the traffic is and how long it will take; without a terminal, a line now and then."""
    columns = (
        TextColumn("{task.description}", style="cyan"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("searches", total=searches)
        told = 0

        def on_progress(now: TrafficProgress) -> None:
            nonlocal told
            bar.update(task, completed=now.needs, description=f"{now.time:%a %H:%M}")
            part = now.needs * _LINES_WITHOUT_TERMINAL // searches
            if not console.is_terminal and part > told:
                told = part
                console.print(f"  {now.needs:,} of {searches:,} needs, {now.searches:,} searches", highlight=False)

        yield on_progress
