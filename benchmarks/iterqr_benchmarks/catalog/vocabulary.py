"""Reads the hand-written vocabularies: one TOML file a cuisine, with its merchants and its dishes.

A dish of the vocabulary is a recipe. What a merchant sells is a recipe in one of its variants:

    [dishes.pad-thai]
    titles = ["{v} Pad Thai", "Pad Thai with {v}"]    # {v} stands for the variant's words
    v = ["Shrimp", "Chicken", "Vegan Tofu: tofu, soy sauce, -egg, -fish sauce"]
    base = "rice noodles, egg, fish sauce, tamarind, peanuts, bean sprouts"
    about = "Rice noodles stir-fried with tamarind and crushed peanuts"
    extras = ["Crispy Shallots: shallots"]            # sometimes "... with Crispy Shallots"
    tags = "noodles"                                  # words of the menu: section, scene
    formats = "kids, platter"                         # also sold so; see menu_formats
    price = [11, 16]
    popularity = 3                                    # 1 if absent

A variant or extra is "Words: ingredient, ingredient, -ingredient it replaces"; without a colon the words in lower
case are the ingredient. A variant may have no words (": pork"): the title then names the dish only.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from iterqr_benchmarks.catalog.ingredients import load_ingredients
from iterqr_benchmarks.catalog.menu_formats import FORMATS
from iterqr_benchmarks.catalog.model import WorldDataError

_CUISINE_KEYS = {"cuisine", "merchants", "halal_merchants", "all_halal", "styles", "dishes"}
_RECIPE_KEYS = {"titles", "v", "base", "about", "extras", "tags", "formats", "price", "popularity"}


@dataclass(frozen=True, slots=True)
class Variant:
    """Words added to a title, with the ingredients that come and go with them."""

    words: str
    adds: tuple[str, ...]
    replaces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """One base dish of a cuisine."""

    name: str
    titles: tuple[str, ...]
    variants: tuple[Variant, ...]
    ingredients: tuple[str, ...]
    about: str
    extras: tuple[Variant, ...]
    tags: tuple[str, ...]
    formats: tuple[str, ...]
    price_low: float
    price_high: float
    popularity: float


@dataclass(frozen=True, slots=True)
class Cuisine:
    """A cuisine, the merchants that cook it and its recipes."""

    name: str
    merchants: tuple[str, ...]
    halal_merchants: frozenset[str]
    styles: tuple[str, ...]
    recipes: tuple[Recipe, ...]


@cache
def load_cuisines() -> tuple[Cuisine, ...]:
    """Reads all packaged cuisines, ordered by file name.

    Raises:
        WorldDataError: a file breaks the rules above; the message names file, dish and key.
    """
    folder = resources.files("iterqr_benchmarks.catalog").joinpath("data", "cuisines")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name)
    cuisines = tuple(parse_cuisine(file.name, tomllib.loads(file.read_text("utf-8"))) for file in files)
    _refuse_repeats("merchant", [name for cuisine in cuisines for name in cuisine.merchants])
    _refuse_repeats("dish", [recipe.name for cuisine in cuisines for recipe in cuisine.recipes])
    return cuisines


def parse_cuisine(file: str, table: dict[str, Any]) -> Cuisine:
    """Turns one file's table into a cuisine.

    Raises:
        WorldDataError: see `load_cuisines`.
    """
    if unknown := table.keys() - _CUISINE_KEYS:
        raise WorldDataError(f"{file}: unknown keys {sorted(unknown)}")
    merchants = tuple(table["merchants"])
    halal = frozenset(merchants if table.get("all_halal") else table.get("halal_merchants", ()))
    if strangers := halal - set(merchants):
        raise WorldDataError(f"{file}: halal_merchants names no merchant: {sorted(strangers)}")
    return Cuisine(
        name=table["cuisine"],
        merchants=merchants,
        halal_merchants=halal,
        styles=tuple(table.get("styles", ())),
        recipes=tuple(_parse_recipe(f"{file}: {name}", name, recipe) for name, recipe in table["dishes"].items()),
    )


def _parse_recipe(where: str, name: str, table: dict[str, Any]) -> Recipe:
    if unknown := table.keys() - _RECIPE_KEYS:
        raise WorldDataError(f"{where}: unknown keys {sorted(unknown)}")
    if missing := {"titles", "base", "about", "price"} - table.keys():
        raise WorldDataError(f"{where}: missing keys {sorted(missing)}")
    low, high = table["price"]
    recipe = Recipe(
        name=name,
        titles=tuple(table["titles"]),
        variants=tuple(_parse_variant(text) for text in table.get("v", [":"])),
        ingredients=_names(table["base"]),
        about=table["about"],
        extras=tuple(_parse_variant(text) for text in table.get("extras", ())),
        tags=_names(table.get("tags", "")),
        formats=_names(table.get("formats", "")),
        price_low=float(low),
        price_high=float(high),
        popularity=float(table.get("popularity", 1)),
    )
    _check_recipe(where, recipe)
    return recipe


def _check_recipe(where: str, recipe: Recipe) -> None:
    known = load_ingredients().contents_by_name
    for variant in (*recipe.variants, *recipe.extras):
        if unknown := [name for name in (*recipe.ingredients, *variant.adds) if name not in known]:
            raise WorldDataError(f"{where}: ingredients not in ingredients.toml: {unknown}")
        if absent := [name for name in variant.replaces if name not in recipe.ingredients]:
            raise WorldDataError(f"{where}: {variant.words!r} replaces what is not in base: {absent}")
        if lies := [name for name in variant.replaces if name in recipe.about.lower()]:
            raise WorldDataError(f"{where}: about names {lies}, which {variant.words!r} leaves out")
    if any(v.words[:1].islower() for v in recipe.variants) and all(t.startswith("{v}") for t in recipe.titles):
        raise WorldDataError(f"{where}: a variant in lower case needs a title in which {{v}} is not the first word")
    if unknown_formats := set(recipe.formats) - FORMATS.keys():
        raise WorldDataError(f"{where}: unknown formats {sorted(unknown_formats)}")
    if not 0 < recipe.price_low <= recipe.price_high:
        raise WorldDataError(f"{where}: price must be [low, high] with 0 < low <= high")


def _parse_variant(text: str) -> Variant:
    words, colon, rest = text.partition(":")
    parts = _names(rest) if colon else (words.lower(),)
    adds = tuple(part for part in parts if not part.startswith("-"))
    return Variant(words.strip(), adds, tuple(part[1:] for part in parts if part.startswith("-")))


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _refuse_repeats(kind: str, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise WorldDataError(f"{kind} {name!r} appears in two places")
        seen.add(name)
