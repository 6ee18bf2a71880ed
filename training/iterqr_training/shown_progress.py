"""A display of progress that is shown while it is open."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.progress import Progress


class ShownProgress:
    """A context manager. Whoever derives from it says in `_progress` what there is to see, and moves it."""

    _progress: Progress

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._progress.stop()
