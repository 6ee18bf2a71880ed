"""Recorded inputs of real prompts: queries with the hints that the running stack found for them.

`prompts.json` is made by `iterqr-bench record-prompts`: the 40 held-out queries first, then the 200 tuning queries.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from iterqr_benchmarks.errors import BenchmarkError
from iterqr_benchmarks.report.json_file import write_whole

SCHEMA = "iterqr-prompts/v1"
PACKAGED = Path(str(resources.files("iterqr_benchmarks.engine_comparison"))) / "prompts.json"
_KEYS = {"query_set", "query", "region", "hints"}


class PromptFileError(BenchmarkError):
    """A file of recorded prompts is not usable; the message names file, entry and fault."""


@dataclass(frozen=True, slots=True)
class RecordedPrompt:
    """What a prompt is rendered from. `hints` are titles, best first, as the server put them into the prompt."""

    query_set: str
    query: str
    region: str
    hints: tuple[str, ...]


def load_prompts(file: Path = PACKAGED) -> tuple[RecordedPrompt, ...]:
    """Returns the recorded prompts in file order.

    Raises:
        PromptFileError: It cannot be read or an entry is wrong.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PromptFileError(f"{file}: cannot be read: {error}") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise PromptFileError(f"{file}: schema must be {SCHEMA!r}")
    return tuple(_read(entry, f"{file}: prompts[{i}]") for i, entry in enumerate(document.get("prompts", ())))


def save_prompts(file: Path, prompts: Sequence[RecordedPrompt]) -> None:
    """Writes prompts so that `load_prompts` reads them, one a line."""
    lines = ",\n".join("    " + json.dumps(asdict(prompt), ensure_ascii=False) for prompt in prompts)
    write_whole(file, f'{{\n  "schema": {json.dumps(SCHEMA)},\n  "prompts": [\n{lines}\n  ]\n}}\n')


def _read(entry: Any, where: str) -> RecordedPrompt:  # noqa: ANN401 - whatever JSON held
    if not isinstance(entry, dict) or entry.keys() != _KEYS:
        raise PromptFileError(f"{where}: needs exactly the keys {', '.join(sorted(_KEYS))}")
    hints = entry["hints"]
    texts = [entry["query_set"], entry["query"], entry["region"]]
    if not isinstance(hints, list) or not all(isinstance(text, str) and text for text in (*texts, *hints)):
        raise PromptFileError(f"{where}: must hold non-empty strings, hints an array of them")
    return RecordedPrompt(entry["query_set"], entry["query"], entry["region"], tuple(hints))
