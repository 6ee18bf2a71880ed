"""Reads the lexicons: how people call things, one TOML file a way of calling."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from iterqr_benchmarks.catalog import WorldDataError, load_ingredients
from iterqr_benchmarks.catalog.ingredients import FORBIDDEN_BY_DIET
from iterqr_benchmarks.catalog.vocabulary import load_cuisines
from iterqr_benchmarks.queries import Predicate, parse_predicate

Thing = Literal["dish", "ingredient", "cuisine", "diet"]
THINGS: tuple[Thing, ...] = ("dish", "ingredient", "cuisine", "diet")
Names = Mapping[Thing, Mapping[str, tuple[str, ...]]]
_FOLDER = "data"


@dataclass(frozen=True, slots=True)
class Scene:
    """A situation: how people word it, usual wordings first, and what would do."""

    name: str
    wordings: tuple[str, ...]
    satisfied_by: Predicate


@dataclass(frozen=True, slots=True)
class AmbiguousWord:
    """One word for several dishes."""

    text: str
    dishes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Lexicon:
    """All that people say. `synonyms`, `colloquial` and `foreign` are by thing and by its name in the catalog.

    `before` and `after` are what is added to a name; `cheap` has {price} and `place` {region} in some phrases.
    """

    synonyms: Names
    colloquial: Names
    foreign: Names
    scenes: tuple[Scene, ...]
    ambiguous: tuple[AmbiguousWord, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    cheap: tuple[str, ...]
    place: tuple[str, ...]

    def size(self) -> int:
        """How many phrases there are."""
        named = sum(
            len(phrases)
            for names in (self.synonyms, self.colloquial, self.foreign)
            for thing in names.values()
            for phrases in thing.values()
        )
        scenes = sum(len(scene.wordings) for scene in self.scenes)
        added = len(self.before) + len(self.after) + len(self.cheap) + len(self.place)
        return named + scenes + len(self.ambiguous) + added


@cache
def load_lexicon() -> Lexicon:
    """Reads the packaged lexicons.

    Raises:
        WorldDataError: An entry is not of the catalog's vocabulary, is empty or is listed twice; the message names it.
    """
    qualifiers = _read("qualifiers")
    return Lexicon(
        synonyms=parse_names("synonyms.toml", _read("synonyms")),
        colloquial=parse_names("colloquial.toml", _read("colloquial")),
        foreign=parse_names("foreign.toml", _read("foreign")),
        scenes=tuple(_parse_scene(entry) for entry in _read("scenes")["scene"]),
        ambiguous=tuple(_parse_word(entry) for entry in _read("ambiguous")["word"]),
        **{part: _phrases("qualifiers.toml", part, qualifiers[part]) for part in ("before", "after", "cheap", "place")},
    )


def parse_names(file: str, table: Mapping[str, Any]) -> Names:
    """Turns a file's table into names by thing.

    Raises:
        WorldDataError: See `load_lexicon`.
    """
    known = _known()
    if unknown := table.keys() - set(THINGS):
        raise WorldDataError(f"{file}: unknown sections {sorted(unknown)}")
    names: dict[Thing, dict[str, tuple[str, ...]]] = {}
    for thing in THINGS:
        entries = table.get(thing, {})
        if strangers := sorted(entries.keys() - known[thing]):
            raise WorldDataError(f"{file}: [{thing}] names what the catalog does not have: {strangers}")
        names[thing] = {key: _phrases(file, f"{thing}.{key}", phrases) for key, phrases in entries.items()}
    return names


def _parse_scene(entry: Mapping[str, Any]) -> Scene:
    name = entry["name"]
    predicate = parse_predicate(f"scenes.toml: {name}", entry["satisfied_by"])
    return Scene(name, _phrases("scenes.toml", name, entry["wordings"]), predicate)


def _parse_word(entry: Mapping[str, Any]) -> AmbiguousWord:
    text, dishes = entry["text"], frozenset(entry["dishes"])
    if unknown := sorted(dishes - _known()["dish"]):
        raise WorldDataError(f"ambiguous.toml: {text!r} has unknown dishes {unknown}")
    if len(dishes) < 2:
        raise WorldDataError(f"ambiguous.toml: {text!r} must stand for at least two dishes")
    return AmbiguousWord(text, dishes)


def _phrases(file: str, where: str, phrases: object) -> tuple[str, ...]:
    if not isinstance(phrases, list) or not phrases or not all(isinstance(each, str) and each for each in phrases):
        raise WorldDataError(f"{file}: {where} must be a list of texts, none of them empty")
    if len(set(phrases)) < len(phrases):
        raise WorldDataError(f"{file}: {where} lists a phrase twice")
    return tuple(phrases)


@cache
def _known() -> dict[Thing, frozenset[str]]:
    cuisines = load_cuisines()
    return {
        "dish": frozenset(recipe.name for cuisine in cuisines for recipe in cuisine.recipes),
        "ingredient": frozenset(load_ingredients().contents_by_name),
        "cuisine": frozenset(cuisine.name for cuisine in cuisines),
        "diet": frozenset(FORBIDDEN_BY_DIET),
    }


def _read(name: str) -> dict[str, Any]:
    folder = resources.files("iterqr_benchmarks.marketplace").joinpath(_FOLDER)
    return tomllib.loads(folder.joinpath(f"{name}.toml").read_text("utf-8"))
