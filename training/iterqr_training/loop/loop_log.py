"""loop.json: which stages are done, and what came of each; a start that follows does not repeat them.

{"schema": "iterqr-loop/v1", "identity": "...", "iterations": {"1": {"serve": {"seconds": 0.1, "facts": {...}}}}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iterqr_training.errors import RunError
from iterqr_training.files import write_whole
from iterqr_training.loop.stage import DoneStage, Stage, StageOutcome

SCHEMA = "iterqr-loop/v1"
FILE = "loop.json"


class LoopLog:
    """The file of one loop's folder."""

    def __init__(self, folder: Path, identity: str) -> None:
        """Reads what is there.

        Args:
            folder: Of the loop.
            identity: Of all that changes what is learned; a folder is of one loop.

        Raises:
            RunError: The folder is of another loop, or the file is damaged.
        """
        self.file = folder / FILE
        self._identity = identity
        self._done = _read(self.file, identity)

    def find(self, iteration: int, stage: Stage) -> DoneStage | None:
        """Returns what came of a stage; None if it is not done."""
        return self._done.get((iteration, stage))

    def facts(self, iteration: int, stage: Stage) -> Mapping[str, Any]:
        """Returns the facts of a stage that is done.

        Raises:
            RunError: It is not.
        """
        done = self.find(iteration, stage)
        if done is None:
            raise RunError(f"{self.file}: stage {stage} of iteration {iteration} is not done")
        return done.outcome.facts

    def note(self, iteration: int, stage: Stage, done: DoneStage) -> None:
        """Writes down that a stage is done, whole or not at all.

        Raises:
            StoreError: The file cannot be written.
        """
        self._done[iteration, stage] = done
        iterations: dict[str, dict[str, Any]] = {}
        for (number, name), each in sorted(self._done.items(), key=lambda item: (item[0][0], _place(item[0][1]))):
            told: dict[str, Any] = {"seconds": round(each.seconds, 1), "facts": each.outcome.facts}
            if each.outcome.refusal:
                told["refusal"] = each.outcome.refusal
            iterations.setdefault(str(number), {})[name] = told
        document = {"schema": SCHEMA, "identity": self._identity, "iterations": iterations}
        write_whole(self.file, json.dumps(document, indent=1, ensure_ascii=False) + "\n")

    def refusal(self, iteration: int) -> str:
        """Returns why an iteration ended with the champion in place; "" if it did not, or has not ended yet."""
        return next((d.outcome.refusal for (n, _), d in self._done.items() if n == iteration and d.outcome.refusal), "")

    def seconds(self) -> Mapping[tuple[int, Stage], float]:
        """Returns how long each stage took that is done."""
        return {key: done.seconds for key, done in self._done.items()}


def _place(stage: Stage) -> int:
    return list(Stage).index(stage)


def _read(file: Path, identity: str) -> dict[tuple[int, Stage], DoneStage]:
    try:
        document = json.loads(file.read_text("utf-8"))
        if document["schema"] != SCHEMA:
            raise RunError(f"{file} is of version {document['schema']!r}, and this reads {SCHEMA!r}")
        if document["identity"] != identity:
            raise RunError(f"{file} is of a loop with other settings; give another folder, or delete this one")
        return {
            (int(number), Stage(name)): DoneStage(
                StageOutcome(dict(told["facts"]), str(told.get("refusal", ""))), float(told["seconds"])
            )
            for number, stages in document["iterations"].items()
            for name, told in stages.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{file} is damaged: {error!r}") from error
