"""Writes one line of a menu: a recipe in a variant, with its title, description, ingredients, tags and price."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from iterqr_benchmarks.catalog.ingredients import FORBIDDEN_BY_HALAL, IngredientTable
from iterqr_benchmarks.catalog.menu_formats import FORMATS, Format
from iterqr_benchmarks.catalog.model import Merchant
from iterqr_benchmarks.catalog.vocabulary import Recipe, Variant

MAX_TITLE_CHARS = 64
_EXTRA_SHARE, _STYLE_SHARE, _FORMAT_SHARE = 0.3, 0.15, 0.14
_LABELLED_DIETS = ("vegan", "vegetarian", "gluten-free", "dairy-free", "keto")
# A label implied by another is not printed beside it.
_IMPLIED_BY_VEGAN = {"vegetarian", "dairy-free"}
_EMPTY_VARIANT = re.compile(r"(?:\s+(?:with|and|of|on))?\s*\{v\}")


@dataclass(frozen=True, slots=True)
class MenuLine:
    """A dish before it has ratings and orders."""

    title: str
    description: str
    ingredients: tuple[str, ...]
    tags: tuple[str, ...]
    price: float
    base_dish: str
    popularity: float


def allowed_variants(recipe: Recipe, merchant: Merchant, table: IngredientTable) -> list[Variant]:
    """Returns the variants that the merchant may sell: a halal kitchen has no pork and no alcohol."""
    if not merchant.halal:
        return list(recipe.variants)
    return [
        variant
        for variant in recipe.variants
        if not table.contents(combine(recipe.ingredients, variant)) & FORBIDDEN_BY_HALAL
    ]


def write_line(
    rng: random.Random,
    merchant: Merchant,
    recipe: Recipe,
    variant: Variant,
    styles: tuple[str, ...],
    table: IngredientTable,
) -> MenuLine:
    """Returns one line of the merchant's menu."""
    title = name_variant(rng.choice(fitting_titles(recipe, variant)), variant)
    ingredients = combine(recipe.ingredients, variant)
    form = _pick_format(rng, recipe, title)
    if form:
        title = form.title.format(title)
    elif (extra := _pick_extra(rng, recipe, title, merchant, table, ingredients)) is not None:
        title, ingredients = f"{title} {_joint(title)} {extra.words}", combine(ingredients, extra)
    elif styles and rng.random() < _STYLE_SHARE:
        title = _put_first(rng.choice(styles), title)
    return MenuLine(
        title=title,
        description=_describe(recipe, variant, ingredients, form),
        ingredients=ingredients,
        tags=menu_tags(merchant, recipe, form, ingredients, table),
        price=_price(rng, merchant, recipe, form),
        base_dish=recipe.name,
        popularity=recipe.popularity,
    )


def fitting_titles(recipe: Recipe, variant: Variant) -> list[str]:
    """Returns the recipe's title patterns in which the variant can stand: "with Olives" cannot begin a title."""
    if not variant.words[:1].islower():
        return list(recipe.titles)
    return [pattern for pattern in recipe.titles if not pattern.startswith("{v}")]


def name_variant(pattern: str, variant: Variant) -> str:
    """Puts the variant's words into a title; without words the joint in front of them goes too."""
    if variant.words:
        return pattern.replace("{v}", variant.words)
    return _EMPTY_VARIANT.sub("", pattern).strip()


def combine(ingredients: tuple[str, ...], variant: Variant) -> tuple[str, ...]:
    """Returns the ingredients of a dish in a variant, the variant's own first."""
    kept = (name for name in ingredients if name not in variant.replaces)
    return tuple(dict.fromkeys((*variant.adds, *kept)))


def menu_tags(
    merchant: Merchant, recipe: Recipe, form: Format | None, ingredients: tuple[str, ...], table: IngredientTable
) -> tuple[str, ...]:
    """Returns what the menu prints beside the title: section, scene, heat and, at some merchants, diets."""
    tags = list(recipe.tags)
    if form:
        tags.append(form.tag)
    contents = table.contents(ingredients)
    if "hot" in contents:
        tags = [tag for tag in tags if tag != "mild"]
        tags.append("spicy")
    if merchant.halal and not contents & FORBIDDEN_BY_HALAL:
        tags.append("halal")
    if merchant.labels_diets:
        diets = table.diets(ingredients)
        implied = _IMPLIED_BY_VEGAN if "vegan" in diets else set()
        tags += [diet for diet in _LABELLED_DIETS if diet in diets and diet not in implied]
        if "nuts" in contents:
            tags.append("contains nuts")
    return tuple(dict.fromkeys(tags))


def _pick_format(rng: random.Random, recipe: Recipe, title: str) -> Format | None:
    """Returns a format whose words fit the title: "Döner Box Lunch Box" and "with Rice Party Tray" do not."""
    if not recipe.formats or rng.random() >= _FORMAT_SHARE:
        return None
    form = FORMATS[rng.choice(recipe.formats)]
    repeats = bool(_words(form.title) & _words(title))
    too_long = len(form.title.format(title)) > MAX_TITLE_CHARS
    counted = "pcs)" in title
    return None if " with " in title or counted or repeats or too_long else form


def _pick_extra(
    rng: random.Random,
    recipe: Recipe,
    title: str,
    merchant: Merchant,
    table: IngredientTable,
    ingredients: tuple[str, ...],
) -> Variant | None:
    """Returns an extra that says nothing twice, fits the title's length and breaks no promise of the title."""
    if not recipe.extras or rng.random() >= _EXTRA_SHARE:
        return None
    extra = rng.choice(recipe.extras)
    repeats = bool(_words(title) & _words(extra.words))
    lists_too_much = _joint(title) == "and" and " and " in f"{title} {extra.words}"
    too_long = len(title) + len(extra.words) + len(" with ") > MAX_TITLE_CHARS
    lost = table.diets(ingredients) - table.diets(combine(ingredients, extra))
    breaks_promise = any(diet in title.lower() for diet in lost) or ("vegan" in lost and "veg" in title.lower())
    forbidden = merchant.halal and bool(table.contents(extra.adds) & FORBIDDEN_BY_HALAL)
    unfit = repeats or lists_too_much or too_long or breaks_promise or forbidden
    return None if unfit else extra


def _joint(title: str) -> str:
    return "and" if re.search(r"\b(with|on)\b", title) else "with"


def _put_first(style: str, title: str) -> str:
    """Returns the title with the style before it, unless that repeats a word or grows too long."""
    longer = f"{style} {title}"
    return title if _words(style) & _words(title) or len(longer) > MAX_TITLE_CHARS else longer


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _describe(recipe: Recipe, variant: Variant, ingredients: tuple[str, ...], form: Format | None) -> str:
    named = [name for name in variant.adds if name not in recipe.about.lower()]
    others = [name for name in ingredients if name not in recipe.ingredients and name not in variant.adds]
    added = [*named, *others]
    sentences = [f"{recipe.about}."]
    if added:
        sentences.append(f"Made with {_enumerate(added)}.")
    if form:
        sentences.append(form.note)
    return " ".join(sentences)


def _enumerate(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _price(rng: random.Random, merchant: Merchant, recipe: Recipe, form: Format | None) -> float:
    price = (
        rng.uniform(recipe.price_low, recipe.price_high) * merchant.price_factor * (form.price_factor if form else 1)
    )
    return round(max(1.5, round(price * 2) / 2) - 0.05, 2)
