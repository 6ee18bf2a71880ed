"""Collectors to be killed: forked from a process that has imported everything, so that kills fall on their work.

with CollectorForks(arguments) as forks:
    pid = forks.start()
    os.kill(pid, signal.SIGKILL)
    status = forks.wait()
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import pandas as pd
from iterqr_training.main import main as iterqr_train


class CollectorForks:
    """`iterqr-train` with the same arguments, one process after the other."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._forker = subprocess.Popen(
            [sys.executable, __file__, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        self._line()  # has imported everything
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        assert self._forker.stdin
        assert self._forker.stdout
        self._forker.stdin.close()
        self._forker.wait(timeout=30)
        self._forker.stdout.close()

    def start(self) -> int:
        """Starts one. Returns its process id."""
        assert self._forker.stdin
        self._forker.stdin.write("start\n")
        self._forker.stdin.flush()
        return int(self._line())

    def wait(self) -> int:
        """Returns the exit status of the one that was started, a signal's as its negative number."""
        return int(self._line())

    def _line(self) -> str:
        assert self._forker.stdout
        return self._forker.stdout.readline()


def _fork_on_demand(arguments: Sequence[str]) -> None:
    pd.DataFrame()  # PyArrow would import it at its first array
    print("ready", flush=True)
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os.dup2(2, 1)  # standard output is for process ids
            iterqr_train(arguments)
            os._exit(0)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    _fork_on_demand(sys.argv[1:])
