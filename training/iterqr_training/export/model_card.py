"""MODEL_CARD.md of a checkpoint: what its manifest, datasheet and gate report say, and nothing they do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

_MAX_FIGURES = 200
_MAX_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Figure:
    """One value of a document: its path in it, such as `counts.generation`, and the value as text."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    """One kind of artifact in the card's table."""

    kind: str
    files: int
    size_bytes: int


def model_card(
    manifest: Mapping[str, Any],
    *,
    datasheet: Mapping[str, Any] | None,
    gate_report: Mapping[str, Any] | None,
    architecture: Mapping[str, Any],
) -> str:
    """Returns the card as Markdown. Names and values from the documents are data: they are escaped."""
    environment = Environment(
        loader=PackageLoader("iterqr_training.export", "."),
        autoescape=False,  # noqa: S701 - Markdown; `cell` escapes
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = cell
    environment.filters["size"] = _size
    rows = [
        ArtifactRow(each["kind"], len(each["files"]), sum(file["size_bytes"] for file in each["files"]))
        for each in manifest["artifacts"]
    ]
    return environment.get_template("model_card.md.j2").render(
        manifest=manifest,
        artifacts=rows,
        architecture=figures(architecture),
        datasheet=None if datasheet is None else figures(datasheet),
        gate_report=None if gate_report is None else figures(gate_report),
        policy=manifest.get("policy"),
    )


def figures(document: Mapping[str, Any]) -> list[Figure]:
    """Returns the values of a JSON document by their paths in it, in its order; at most 200, long ones cut."""
    found: list[Figure] = []
    _collect("", document, found)
    if len(found) > _MAX_FIGURES:
        left = len(found) - _MAX_FIGURES
        found = [*found[:_MAX_FIGURES], Figure("...", f"{left} more in the document itself")]
    return found


def _collect(name: str, value: object, found: list[Figure]) -> None:
    if isinstance(value, Mapping):
        for key, each in value.items():
            _collect(f"{name}.{key}" if name else str(key), each, found)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        if all(isinstance(each, str | int | float | None) for each in value):
            found.append(Figure(name, _text(", ".join(map(_text, value)))))
        else:
            for number, each in enumerate(value):
                label = each.get("name") if isinstance(each, Mapping) else None
                _collect(f"{name}.{label or number}", each, found)
    else:
        found.append(Figure(name, _text(value)))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    text = f"{value:.6g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    return text if len(text) <= _MAX_CHARACTERS else f"{text[: _MAX_CHARACTERS - 1]}…"


def cell(text: object) -> str:
    """Escapes what would end a table's cell or be read as markup."""
    plain = " ".join(str(text).split())
    for character in "\\`*_[]<>|":
        plain = plain.replace(character, f"\\{character}")
    return plain


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB"
