"""metrics.jsonl: one line a step, and what was measured at its end. What the curves and MLflow's run are made from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iterqr_training.errors import RunError
from iterqr_training.files import write_text


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known after a step (0: before the first): values by name."""

    step: int
    values: Mapping[str, float]


class MetricsLog:
    """The file, and what is in it. Lines after the step that a run is gone on from are dropped."""

    def __init__(self, file: Path, last_step: int) -> None:
        self._file = file
        self._entries = [each for each in _read(file) if each.step <= last_step]
        write_text(file, "".join(_line(each) for each in self._entries))

    @property
    def entries(self) -> Sequence[Measured]:
        """In order of steps."""
        return self._entries

    def append(self, measured: Measured) -> None:
        """Adds a line."""
        self._entries.append(measured)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(_line(measured))


def _line(measured: Measured) -> str:
    return json.dumps({"step": measured.step, **measured.values}) + "\n"


def _read(file: Path) -> list[Measured]:
    if not file.exists():
        return []
    entries = []
    lines = file.read_text("utf-8").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            values: dict[str, Any] = json.loads(line)
            entries.append(Measured(int(values.pop("step")), values))
        except (ValueError, KeyError) as error:
            if number == len(lines):  # a process that was killed was writing it
                break
            raise RunError(f"{file}: line {number} is damaged: {error!r}") from error
    return entries
