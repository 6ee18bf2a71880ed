"""Which stages of a simulation are done, and what came of each: a start that follows does not repeat them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from iterqr_benchmarks.errors import MarketplaceError
from iterqr_benchmarks.report.json_file import plain_data, write_whole

T = TypeVar("T")
_FILE = "stages.json"


class StageLog:
    """The stages of one run in its folder. A stage that is done again has all stages after it done again.

    Args:
        folder: Of the run.
        run: Its name; of other settings, another.
    """

    def __init__(self, folder: Path, run: str) -> None:
        self._file = folder / _FILE
        self._run = run
        self._done = self._read()
        self._is_anew = False

    def has(self, stage: str) -> bool:
        """Whether a stage need not be done."""
        return not self._is_anew and stage in self._done

    def do(self, stage: str, work: Callable[[], T], decode: Callable[[Mapping[str, Any]], T]) -> T:
        """Does a stage, or returns what came of it before.

        Args:
            stage: Its name.
            work: Does it; what it returns must be a dataclass that JSON can hold.
            decode: Makes the same of the JSON.
        """
        if self.has(stage):
            try:
                return decode(self._done[stage]["result"])
            except (KeyError, TypeError, ValueError) as error:
                raise MarketplaceError(f"{self._file} is damaged; delete it to do the stages again") from error
        self._is_anew = True
        began = time.monotonic()
        result = work()
        self._done[stage] = {"seconds": round(time.monotonic() - began, 1), "result": plain_data(result)}
        write_whole(self._file, json.dumps({"run": self._run, "stages": self._done}, indent=1, default=str) + "\n")
        return result

    def seconds(self) -> Mapping[str, float]:
        """How long each stage took that is done, the last time."""
        return {stage: done["seconds"] for stage, done in self._done.items()}

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            told = json.loads(self._file.read_text("utf-8"))
            run, stages = told["run"], dict(told["stages"])
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError) as error:
            raise MarketplaceError(f"{self._file} is damaged; delete it to do the stages again") from error
        return stages if run == self._run else {}
