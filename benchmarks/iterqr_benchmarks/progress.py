"""Shows work that takes a while: one line a step, several at once, with its time and its latest detail."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.text import Text


class Steps(Protocol):
    """Takes reports of steps. May be called from several threads."""

    def started(self, step: str) -> None:
        """Called once when a step begins; `step` is its name for the reader."""

    def detail(self, step: str, text: str) -> None:
        """Called with each news of a step that has begun."""

    def finished(self, step: str, text: str) -> None:
        """Called once when a step ended well."""

    def failed(self, step: str) -> None:
        """Called once when a step ended otherwise."""


class Step:
    """A step in work: report details, and what came of it."""

    def __init__(self, steps: Steps, name: str) -> None:
        self._steps = steps
        self._name = name
        self.result = ""

    def detail(self, text: str) -> None:
        """Reports news."""
        self._steps.detail(self._name, text)


@contextmanager
def step(steps: Steps, name: str) -> Iterator[Step]:
    """Reports the start and the end of what is done inside; the end with the `result` it set."""
    work = Step(steps, name)
    steps.started(name)
    try:
        yield work
    except BaseException:
        steps.failed(name)
        raise
    steps.finished(name, work.result)


class StepDisplay:
    """Shows steps on a console: moving on a terminal, else a line at each start and end.

    A context manager; shown while it is open. `title_width` is the width of the steps' names; `seconds` tells how long
    each step took that has ended.
    """

    def __init__(self, console: Console, *, title_width: int = 26) -> None:
        self._console = console
        self._width = title_width
        self.seconds: dict[str, float] = {}
        self._began: dict[str, float] = {}
        self._task: dict[str, TaskID] = {}
        self._progress = Progress(
            SpinnerColumn(style="cyan"),
            TextColumn(f"{{task.description:<{title_width}}}"),
            _Seconds(),
            TextColumn("{task.fields[detail]}", style="dim", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def started(self, step: str) -> None:
        """See `Steps`."""
        self._began[step] = time.monotonic()
        self._task[step] = self._progress.add_task(step, total=None, detail="")
        if not self._console.is_terminal:
            self._print("[cyan]…[/cyan]", step, "")

    def detail(self, step: str, text: str) -> None:
        """See `Steps`."""
        self._progress.update(self._task[step], detail=_short(text))

    def finished(self, step: str, text: str) -> None:
        """See `Steps`."""
        self._end("[green]✓[/green]", step, text)

    def failed(self, step: str) -> None:
        """See `Steps`."""
        self._end("[red]✗[/red]", step, "")

    def _end(self, mark: str, step: str, text: str) -> None:
        self._progress.remove_task(self._task[step])
        self.seconds[step] = time.monotonic() - self._began[step]
        self._print(mark, step, text)

    def _print(self, mark: str, step: str, text: str) -> None:
        seconds = time.monotonic() - self._began[step]
        line = Text.from_markup(mark) + Text(f" {step:<{self._width}} {seconds:6.1f} s  ") + Text(text, style="dim")
        self._console.print(line, soft_wrap=True, highlight=False)


class _Seconds(ProgressColumn):
    def render(self, task: Task) -> Text:
        """The time a step has taken until now."""
        return Text(f"{task.elapsed or 0.0:6.1f} s", style="dim")


def _short(text: str, limit: int = 90) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
