"""The words around the query: instruction and examples of a domain, read from a TOML file.

Teams whose domain is not food delivery write their own file and name it in the server's configuration.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from iterqr_proto.rewrite_format.grammar import FORMAT_VERSION, MAX_LINE_CHARS

DEFAULT_TEMPLATE = "food_delivery.toml"
_EXAMPLE_KEYS = {"query", "hints", "fix", "intent", "meaning", "rewrites"}


class TemplateError(ValueError):
    """A template file is not usable; the message names the file and the key."""


@dataclass(frozen=True, slots=True)
class Example:
    """One worked query, shown to the model as a turn of the conversation."""

    query: str
    hints: tuple[str, ...]
    fix: str
    intent: str
    meaning: str
    rewrites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """Instruction and examples; together the shared prefix of every prompt."""

    instruction: str
    examples: tuple[Example, ...]


def template_path(name: str) -> Path:
    """Returns the file of a template: a .toml file, which may not exist, or one of the package by its name.

    Raises:
        TemplateError: The package has none of that name.
    """
    if name.endswith(".toml"):
        return Path(name)
    packaged = resources.files("iterqr_proto.rewrite_format")
    names = sorted(each.name.removesuffix(".toml") for each in packaged.iterdir() if each.name.endswith(".toml"))
    if name not in names:
        raise TemplateError(f"{name!r} is no .toml file and no template of the package ({', '.join(names)})")
    return Path(str(packaged / f"{name}.toml"))


def load_template(path: Path | None = None) -> Template:
    """Reads a template; without a path, the one for food delivery that comes with the package.

    Raises:
        TemplateError: a key is missing, unknown, empty or of the wrong type, or the format version is another one.
        OSError: the file cannot be read.
    """
    source = path or resources.files("iterqr_proto.rewrite_format") / DEFAULT_TEMPLATE
    try:
        data = tomllib.loads(source.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise TemplateError(f"{source}: not TOML: {error}") from error
    if unknown := data.keys() - {"format_version", "instruction", "examples"}:
        raise TemplateError(f"{source}: unknown key {min(unknown)!r}")
    if data.get("format_version") != FORMAT_VERSION:
        raise TemplateError(f"{source}: format_version: must be {FORMAT_VERSION!r}")
    examples = data.get("examples", [])
    if not isinstance(examples, list):
        raise TemplateError(f"{source}: examples: must be an array of tables")
    return Template(
        instruction=_text(data, "instruction", str(source), limit=4000),
        examples=tuple(_example(e, f"{source}: examples[{i}]") for i, e in enumerate(examples)),
    )


def _example(data: Any, where: str) -> Example:  # noqa: ANN401 - whatever TOML held
    if not isinstance(data, dict):
        raise TemplateError(f"{where}: must be a table")
    if unknown := data.keys() - _EXAMPLE_KEYS:
        raise TemplateError(f"{where}: unknown key {min(unknown)!r}")
    return Example(
        query=_text(data, "query", where),
        hints=_texts(data, "hints", where),
        fix=_text(data, "fix", where),
        intent=_text(data, "intent", where),
        meaning=_text(data, "meaning", where),
        rewrites=_texts(data, "rewrites", where),
    )


def _text(data: dict[str, Any], key: str, where: str, limit: int = MAX_LINE_CHARS) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not 0 < len(value.strip()) <= limit:
        raise TemplateError(f"{where}: {key}: must be a string of 1 to {limit} characters")
    return value.strip()


def _texts(data: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = data.get(key, [])
    if not isinstance(value, list):
        raise TemplateError(f"{where}: {key}: must be an array of strings")
    return tuple(_text({key: item}, key, f"{where}[{i}]") for i, item in enumerate(value))
