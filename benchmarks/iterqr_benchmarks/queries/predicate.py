"""What satisfies a query: a readable condition over a dish's attributes, never over a search engine's answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from iterqr_benchmarks.catalog import Dish, WorldDataError, load_ingredients
from iterqr_benchmarks.catalog.ingredients import CONTENTS, FORBIDDEN_BY_DIET
from iterqr_benchmarks.catalog.vocabulary import load_cuisines


@dataclass(frozen=True, slots=True)
class Predicate:
    """Conditions that must all hold; an empty one is not asked.

    `diets_all` and `contents_*` are judged by the ingredients, so they also hold for a dish whose menu does not say
    so; `tags_*` are what the menu prints. `title_any` matches part of a title, case apart. `any_of` holds if one of
    its predicates does.
    """

    base_dish: frozenset[str] = frozenset()
    cuisine: frozenset[str] = frozenset()
    merchant: frozenset[str] = frozenset()
    title_any: frozenset[str] = frozenset()
    ingredients_any: frozenset[str] = frozenset()
    ingredients_all: frozenset[str] = frozenset()
    ingredients_none: frozenset[str] = frozenset()
    contents_any: frozenset[str] = frozenset()
    contents_none: frozenset[str] = frozenset()
    tags_any: frozenset[str] = frozenset()
    tags_all: frozenset[str] = frozenset()
    tags_none: frozenset[str] = frozenset()
    diets_all: frozenset[str] = frozenset()
    price_max: float | None = None
    any_of: tuple[Predicate, ...] = ()

    def holds(self, dish: Dish) -> bool:
        """Returns whether the dish satisfies every condition."""
        return all(check(self, dish) for check in _CHECKS)


_Check = Callable[[Predicate, Dish], bool]


@cache
def _contents(ingredients: tuple[str, ...]) -> frozenset[str]:
    return load_ingredients().contents(ingredients)


@cache
def _diets(ingredients: tuple[str, ...]) -> frozenset[str]:
    return load_ingredients().diets(ingredients)


_CHECKS: tuple[_Check, ...] = (
    lambda p, d: not p.base_dish or d.base_dish in p.base_dish,
    lambda p, d: not p.cuisine or d.cuisine in p.cuisine,
    lambda p, d: not p.merchant or d.merchant in p.merchant,
    lambda p, d: not p.title_any or any(part.lower() in d.title.lower() for part in p.title_any),
    lambda p, d: not p.ingredients_any or not p.ingredients_any.isdisjoint(d.ingredients),
    lambda p, d: p.ingredients_all.issubset(d.ingredients),
    lambda p, d: p.ingredients_none.isdisjoint(d.ingredients),
    lambda p, d: not p.contents_any or not p.contents_any.isdisjoint(_contents(d.ingredients)),
    lambda p, d: p.contents_none.isdisjoint(_contents(d.ingredients)),
    lambda p, d: not p.tags_any or not p.tags_any.isdisjoint(d.tags),
    lambda p, d: p.tags_all.issubset(d.tags),
    lambda p, d: p.tags_none.isdisjoint(d.tags),
    lambda p, d: p.diets_all.issubset(_diets(d.ingredients)),
    lambda p, d: p.price_max is None or d.price <= p.price_max,
    lambda p, d: not p.any_of or any(part.holds(d) for part in p.any_of),
)
_LISTS = frozenset(Predicate.__dataclass_fields__) - {"price_max", "any_of"}


def parse_predicate(where: str, table: Any) -> Predicate:  # noqa: ANN401 - TOML
    """Turns a TOML table into a predicate.

    Raises:
        WorldDataError: a key is unknown or its value has the wrong type or an unknown word; the message starts with
            `where`.
    """
    if not isinstance(table, dict) or not table:
        raise WorldDataError(f"{where}: satisfied_by must be a table with at least one condition")
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key == "price_max":
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
                raise WorldDataError(f"{where}: price_max must be a positive number")
            values[key] = float(value)
        elif key == "any_of":
            if not isinstance(value, list) or len(value) < 2:
                raise WorldDataError(f"{where}: any_of must be a list of at least two tables")
            values[key] = tuple(parse_predicate(where, part) for part in value)
        elif key in _LISTS:
            values[key] = _parse_words(where, key, value)
        else:
            known = sorted(Predicate.__dataclass_fields__)
            raise WorldDataError(f"{where}: unknown condition {key!r}; known are {', '.join(known)}")
    return Predicate(**values)


def _parse_words(where: str, key: str, value: object) -> frozenset[str]:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not words or not all(isinstance(word, str) and word for word in words):
        raise WorldDataError(f"{where}: {key} must be a text or a list of texts, none of them empty")
    known = _known_words().get(key)
    if known is not None and (unknown := sorted(set(words) - known)):
        raise WorldDataError(f"{where}: {key} has unknown words {unknown}")
    return frozenset(words)


@cache
def _known_words() -> dict[str, frozenset[str]]:
    """Conditions with a closed vocabulary: a misspelt word in one would silently satisfy nothing."""
    cuisines = load_cuisines()
    ingredients = frozenset(load_ingredients().contents_by_name)
    return {
        "base_dish": frozenset(recipe.name for cuisine in cuisines for recipe in cuisine.recipes),
        "cuisine": frozenset(cuisine.name for cuisine in cuisines),
        "merchant": frozenset(merchant for cuisine in cuisines for merchant in cuisine.merchants),
        "ingredients_any": ingredients,
        "ingredients_all": ingredients,
        "ingredients_none": ingredients,
        "contents_any": CONTENTS,
        "contents_none": CONTENTS,
        "diets_all": frozenset(FORBIDDEN_BY_DIET),
    }
