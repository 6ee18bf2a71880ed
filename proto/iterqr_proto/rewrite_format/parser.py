"""Reads the model's lines as they arrive.

Every finished line is usable at once, which is what makes rewriting anytime: at the deadline the lines so far stand.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from iterqr_proto.rewrite_format.grammar import MAX_LINE_CHARS
from iterqr_proto.rewrite_format.text import clean_text


class Field(enum.Enum):
    """What a line says."""

    FIX = "fix"
    INTENT = "intent"
    MEANING = "meaning"
    REWRITE = "rw"


@dataclass(frozen=True, slots=True)
class Line:
    """One finished line. `field` is None if the line is not of the format; `value` is cleaned and never empty then."""

    field: Field | None
    value: str


@dataclass(frozen=True, slots=True)
class RewriteOutput:
    """A whole output. Fields the model did not write are empty; `rejected` holds lines that are not of the format."""

    fix: str
    intent: str
    meaning: str
    rewrites: tuple[str, ...]
    rejected: tuple[str, ...]

    @property
    def has_chain_of_thought(self) -> bool:
        """Whether all three steps before the rewrites are there."""
        return bool(self.fix and self.intent and self.meaning)


class LineParser:
    r"""Cuts streamed text into lines.

    Lenient where that is harmless (case of the field's name, spaces around it), strict where a wrong reading would
    reach users: an unknown field, an empty value or one over `MAX_LINE_CHARS` is not a line of the format.
    """

    def __init__(self) -> None:
        self._pending = ""

    def feed(self, text: str) -> list[Line]:
        """Takes the next text and returns the lines it finished, blank ones left out."""
        *finished, self._pending = (self._pending + text).split("\n")
        return [_read(line) for line in finished if line.strip()]

    def finish(self) -> list[Line]:
        """Called when the model ended its turn: the last line needs no line break. Not called at a deadline."""
        rest, self._pending = self._pending, ""
        return [_read(rest)] if rest.strip() else []


def _read(line: str) -> Line:
    name, colon, value = line.partition(":")
    value = clean_text(value)
    try:
        field = Field(name.strip().lower()) if colon else None
    except ValueError:
        field = None
    if field is None or not value or len(value) > MAX_LINE_CHARS:
        return Line(None, clean_text(line))
    return Line(field, value)


def collect(lines: list[Line]) -> RewriteOutput:
    """Gathers lines into one output. Of a repeated field other than `rw` the first counts, the others are rejected."""
    single: dict[Field, str] = {}
    rewrites: list[str] = []
    rejected: list[str] = []
    for line in lines:
        if line.field is Field.REWRITE:
            rewrites.append(line.value)
        elif line.field is None or line.field in single:
            rejected.append(line.value)
        else:
            single[line.field] = line.value
    return RewriteOutput(
        fix=single.get(Field.FIX, ""),
        intent=single.get(Field.INTENT, ""),
        meaning=single.get(Field.MEANING, ""),
        rewrites=tuple(rewrites),
        rejected=tuple(rejected),
    )


def parse(text: str) -> RewriteOutput:
    """Reads a finished output."""
    parser = LineParser()
    return collect(parser.feed(text) + parser.finish())
