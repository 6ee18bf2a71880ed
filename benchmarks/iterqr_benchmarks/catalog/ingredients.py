"""What every ingredient contains, and which diets a list of ingredients fits."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

from iterqr_benchmarks.catalog.model import WorldDataError

CONTENTS = frozenset(
    {
        "pork",
        "beef",
        "lamb",
        "poultry",
        "meat",  # meat of any other animal, and stock, gelatine and lard
        "fish",
        "shellfish",
        "dairy",
        "egg",
        "honey",
        "gluten",
        "nuts",  # peanuts too: an allergic eater minds both
        "sesame",
        "alcohol",
        "carbs",  # so much sugar or starch that a keto eater leaves it
        "hot",  # chilli heat
        "filling",  # protein or fat enough to make a meal of: keto names meals, not salad leaves
    }
)
_MEATS = frozenset({"pork", "beef", "lamb", "poultry", "meat"})
_ANIMALS = _MEATS | {"fish", "shellfish", "dairy", "egg", "honey"}
# A diet forbids what these contents name. Halal also depends on the merchant and is a menu tag, not listed here.
FORBIDDEN_BY_DIET: dict[str, frozenset[str]] = {
    "vegan": _ANIMALS,
    "vegetarian": _MEATS | {"fish", "shellfish"},
    "gluten-free": frozenset({"gluten"}),
    "dairy-free": frozenset({"dairy"}),
    "nut-free": frozenset({"nuts"}),
    "keto": frozenset({"carbs"}),
}
FORBIDDEN_BY_HALAL = frozenset({"pork", "alcohol"})


@dataclass(frozen=True)
class IngredientTable:
    """Contents by ingredient name."""

    contents_by_name: dict[str, frozenset[str]]

    def contents(self, ingredients: Iterable[str]) -> frozenset[str]:
        """Returns all that the ingredients contain together.

        Raises:
            WorldDataError: an ingredient is not in the table.
        """
        found: set[str] = set()
        for name in ingredients:
            if name not in self.contents_by_name:
                raise WorldDataError(f"unknown ingredient {name!r}: add it to ingredients.toml")
            found |= self.contents_by_name[name]
        return frozenset(found)

    def diets(self, ingredients: Iterable[str]) -> frozenset[str]:
        """Returns every diet that the ingredients fit, labelled on the menu or not."""
        contents = self.contents(ingredients)
        fitting = {diet for diet, forbidden in FORBIDDEN_BY_DIET.items() if not contents & forbidden}
        if not contents & (_ANIMALS | {"filling"}):
            fitting.discard("keto")
        return frozenset(fitting)


@cache
def load_ingredients() -> IngredientTable:
    """Reads the packaged table.

    Raises:
        WorldDataError: a content is unknown or an ingredient is listed twice.
    """
    text = resources.files("iterqr_benchmarks.catalog").joinpath("data", "ingredients.toml").read_text("utf-8")
    by_name: dict[str, frozenset[str]] = {}
    for contents_text, names in tomllib.loads(text)["ingredients"].items():
        contents = frozenset(part.strip() for part in contents_text.split(",") if part.strip())
        if unknown := contents - CONTENTS:
            raise WorldDataError(f"ingredients.toml: unknown contents {sorted(unknown)}")
        for name in (part.strip() for part in names.split(",") if part.strip()):
            if name in by_name:
                raise WorldDataError(f"ingredients.toml: {name!r} is listed twice")
            by_name[name] = contents
    return IngredientTable(by_name)
