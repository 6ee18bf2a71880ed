"""Tasks as flags name them."""

from __future__ import annotations

import argparse

from iterqr_training.dataset.rows import Task


def task_of(name: str) -> Task:
    """Returns the task of that name.

    Raises:
        argparse.ArgumentTypeError: There is none.
    """
    try:
        return Task(name)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{name!r} is no task; there are {', '.join(Task)}") from None


def task_list(text: str) -> tuple[Task, ...]:
    """Returns the tasks of a list with commas; raises as `task_of`."""
    return tuple(task_of(name) for name in text.split(","))
