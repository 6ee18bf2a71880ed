"""Builds the catalog from the vocabularies: who sells what, where, at which price, how well liked."""

from __future__ import annotations

import random
import re
import unicodedata
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from iterqr_benchmarks.catalog.ingredients import IngredientTable, load_ingredients
from iterqr_benchmarks.catalog.menu import MenuLine, allowed_variants, write_line
from iterqr_benchmarks.catalog.model import Catalog, Dish, Merchant
from iterqr_benchmarks.catalog.vocabulary import Cuisine, load_cuisines

REGIONS = ("north", "east", "south", "west")
MENU_LINES = (20, 30)
_TRIES_PER_LINE = 8
_LABELLING_SHARE = 0.7
# Orders fall with a dish's rank in its region as Zipf's law has it.
_TOP_ORDERS, _ZIPF_EXPONENT = 9_000, 0.9


@cache
def build_catalog(seed: int = 20260101) -> Catalog:
    """Returns the catalog of a seed: the same on every machine and Python version.

    Merchants, their regions and cuisines come from the vocabularies alone; the seed draws menus, prices and orders.
    """
    table = load_ingredients()
    merchants: list[Merchant] = []
    lines: list[tuple[Merchant, MenuLine]] = []
    for cuisine in load_cuisines():
        # Merchants take turns over the regions, from a start that new cuisines and merchants do not move.
        offset = zlib.crc32(cuisine.name.encode())
        for position, name in enumerate(cuisine.merchants):
            region = REGIONS[(position + offset) % len(REGIONS)]
            merchant = open_merchant(seed, name, region, cuisine)
            merchants.append(merchant)
            lines += ((merchant, line) for line in write_menu(seed, merchant, cuisine, table))
    return Catalog(tuple(merchants), tuple(_rate(seed, lines)))


def slug(text: str) -> str:
    """Returns the text as an identifier: lower-case ASCII letters and digits joined by hyphens."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall(r"[a-z0-9]+", ascii_text.replace("'", "")))


def open_merchant(seed: int, name: str, region: str, cuisine: Cuisine) -> Merchant:
    """Returns a merchant of a cuisine; the seed draws its prices and whether its menu labels diets."""
    rng = random.Random(f"{seed}/merchant/{name}")
    return Merchant(
        merchant_id=slug(name),
        name=name,
        region=region,
        cuisine=cuisine.name,
        price_factor=round(rng.uniform(0.85, 1.25), 2),
        halal=name in cuisine.halal_merchants,
        labels_diets=rng.random() < _LABELLING_SHARE,
    )


def write_menu(
    seed: int, merchant: Merchant, cuisine: Cuisine, table: IngredientTable, lines: tuple[int, int] = MENU_LINES
) -> Iterator[MenuLine]:
    """Yields the merchant's menu: no variant of a recipe twice.

    Popular recipes are on most menus and in several variants, and a recipe's first variants are the usual ones.
    `lines`: fewest and most of them; a small vocabulary may give fewer.
    """
    rng = random.Random(f"{seed}/menu/{merchant.name}")
    sellable = [(recipe, allowed_variants(recipe, merchant, table)) for recipe in cuisine.recipes]
    sellable = [(recipe, variants) for recipe, variants in sellable if variants]
    weights = [recipe.popularity**0.8 for recipe, _ in sellable]
    titles: set[str] = set()
    offered: set[tuple[str, str]] = set()
    wanted = rng.randint(*lines)
    for _ in range(wanted * _TRIES_PER_LINE):
        if len(titles) == wanted:
            return
        ((recipe, variants),) = rng.choices(sellable, weights)
        (variant,) = rng.choices(variants, [rank**-0.5 for rank in range(1, len(variants) + 1)])
        if (recipe.name, variant.words) in offered:
            continue
        offered.add((recipe.name, variant.words))
        # A stream of its own: how one line is worded does not change what else is on the menu.
        wording = random.Random(f"{seed}/line/{merchant.name}/{recipe.name}/{variant.words}")
        line = write_line(wording, merchant, recipe, variant, cuisine.styles, table)
        if line.title not in titles:
            titles.add(line.title)
            yield line


def _rate(seed: int, lines: list[tuple[Merchant, MenuLine]]) -> Iterator[Dish]:
    """Yields dishes with ratings and orders; orders go by rank of popularity within the region."""
    rng = random.Random(f"{seed}/ratings")
    ratings = [round(min(5.0, max(2.8, rng.gauss(4.3, 0.35))), 1) for _ in lines]
    scores = [
        line.popularity * rating**2 * rng.lognormvariate(0, 0.9)
        for (_, line), rating in zip(lines, ratings, strict=True)
    ]
    orders: dict[int, int] = {}
    for region in REGIONS:
        of_region = [i for i, (merchant, _) in enumerate(lines) if merchant.region == region]
        for rank, i in enumerate(sorted(of_region, key=lambda i: -scores[i]), start=1):
            orders[i] = max(1, round(_TOP_ORDERS / rank**_ZIPF_EXPONENT))
    yield from listed_dishes(lines, ratings, orders)


def listed_dishes(
    lines: Sequence[tuple[Merchant, MenuLine]], ratings: Sequence[float], orders: Mapping[int, int]
) -> Iterator[Dish]:
    """Yields the dishes of menu lines, numbered within their merchant.

    Args:
        lines: With their merchants, in menu order.
        ratings: Of each line.
        orders: Of each line, by its place in `lines`.
    """
    numbers: dict[str, int] = {}
    for i, (merchant, line) in enumerate(lines):
        number = numbers[merchant.merchant_id] = numbers.get(merchant.merchant_id, 0) + 1
        yield Dish(
            dish_id=f"{merchant.merchant_id}-{number:02d}",
            title=line.title,
            merchant=merchant.name,
            merchant_id=merchant.merchant_id,
            region=merchant.region,
            cuisine=merchant.cuisine,
            description=line.description,
            ingredients=line.ingredients,
            tags=line.tags,
            price=line.price,
            rating=ratings[i],
            orders=orders[i],
            base_dish=line.base_dish,
        )
