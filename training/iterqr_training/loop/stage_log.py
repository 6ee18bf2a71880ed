"""Which stages are done, and what came of each: a start that follows does not repeat them.

{"schema": "...", "identity": "...", "<parts>": {"<part>": {"serve": {"seconds": 0.1, "facts": {...}}}}}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

from iterqr_training.errors import RunError
from iterqr_training.files import write_whole
from iterqr_training.loop.stage import DoneStage, Stage, StageOutcome


class Part(Protocol):
    """What stages are done of, and begun with the least: an iteration, a variant of an ablation."""

    def __lt__(self, other: Self, /) -> bool: ...


P = TypeVar("P", bound=Part)


@dataclass(frozen=True, slots=True)
class LogFormat(Generic[P]):
    """Of a log's file.

    Attributes:
        schema: Its version.
        parts: Key of the parts.
        read_part: Makes a part of its text; raises ValueError where it is none.
        run: What has such a log, for people: a loop.
    """

    schema: str
    parts: str
    read_part: Callable[[str], P]
    run: str


class StageLog(Generic[P]):
    """The file of one run."""

    def __init__(self, file: Path, identity: str, form: LogFormat[P]) -> None:
        """Reads what is there.

        Args:
            file: Of the log.
            identity: Of all that changes what comes of the run; a file is of one run.
            form: Of the file.

        Raises:
            RunError: The file is of another run, or damaged.
        """
        self.file = file
        self._identity = identity
        self._form = form
        self._done = _read(file, identity, form)

    def find(self, part: P, stage: Stage) -> DoneStage | None:
        """Returns what came of a stage; None if it is not done."""
        return self._done.get((part, stage))

    def facts(self, part: P, stage: Stage) -> Mapping[str, Any]:
        """Returns the facts of a stage that is done.

        Raises:
            RunError: It is not.
        """
        done = self.find(part, stage)
        if done is None:
            raise RunError(f"{self.file}: stage {stage} of {part} is not done")
        return done.outcome.facts

    def note(self, part: P, stage: Stage, done: DoneStage) -> None:
        """Writes down that a stage is done, whole or not at all.

        Raises:
            StoreError: The file cannot be written.
        """
        self._done[part, stage] = done
        parts: dict[str, dict[str, Any]] = {}
        for (of, name), each in sorted(self._done.items(), key=lambda item: (item[0][0], _place(item[0][1]))):
            told: dict[str, Any] = {"seconds": round(each.seconds, 1), "facts": each.outcome.facts}
            if each.outcome.refusal:
                told["refusal"] = each.outcome.refusal
            parts.setdefault(str(of), {})[name] = told
        document = {"schema": self._form.schema, "identity": self._identity, self._form.parts: parts}
        write_whole(self.file, json.dumps(document, indent=1, ensure_ascii=False) + "\n")

    def refusal(self, part: P) -> str:
        """Returns why a part ended early; "" if it did not, or has not ended yet."""
        return next((d.outcome.refusal for (of, _), d in self._done.items() if of == part and d.outcome.refusal), "")

    def seconds(self) -> Mapping[tuple[P, Stage], float]:
        """Returns how long each stage took that is done."""
        return {key: done.seconds for key, done in self._done.items()}


def _place(stage: Stage) -> int:
    return list(Stage).index(stage)


def _read(file: Path, identity: str, form: LogFormat[P]) -> dict[tuple[P, Stage], DoneStage]:
    try:
        document = json.loads(file.read_text("utf-8"))
        if document["schema"] != form.schema:
            raise RunError(f"{file} is of version {document['schema']!r}, and this reads {form.schema!r}")
        if document["identity"] != identity:
            raise RunError(f"{file} is of {form.run} with other settings; give another folder, or delete this one")
        return {
            (form.read_part(part), Stage(name)): DoneStage(
                StageOutcome(dict(told["facts"]), str(told.get("refusal", ""))), float(told["seconds"])
            )
            for part, stages in document[form.parts].items()
            for name, told in stages.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{file} is damaged: {error!r}") from error
