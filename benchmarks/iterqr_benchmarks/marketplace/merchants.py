"""Who sells in a grown world: the demo's merchants first, then made-up ones."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from itertools import islice

from iterqr_benchmarks.catalog import REGIONS, Merchant
from iterqr_benchmarks.catalog.build import open_merchant, slug
from iterqr_benchmarks.catalog.vocabulary import Cuisine, load_cuisines
from iterqr_benchmarks.marketplace.draws import Draws
from iterqr_benchmarks.marketplace.settings import WorldSettings

_MORE_REGIONS = ("central", "harbor", "hills", "lakeside", "old town", "riverside", "university", "airport")
_HALAL_SHARE = 0.15  # of the made-up merchants of a cuisine that has halal ones
_STRIDE = 51_341  # shares no factor with the number of names, so that neighbours do not begin alike


@dataclass(frozen=True, slots=True)
class Stall:
    """A merchant with the vocabulary of its menu and how many lines the menu has."""

    merchant: Merchant
    cuisine: Cuisine
    menu_lines: int


def region_names(count: int) -> tuple[str, ...]:
    """The names of a world's regions."""
    named = (*REGIONS, *_MORE_REGIONS)
    return named[:count] + tuple(f"district {number}" for number in range(len(named) + 1, count + 1))


@cache
def stalls(settings: WorldSettings) -> tuple[Stall, ...]:
    """Returns the merchants of a world in a stable order; cuisines take turns, and with each turn the regions.

    Menus differ in length but add up to the world's dishes.
    """
    cuisines = load_cuisines()
    regions = region_names(settings.regions)
    lines = _menu_lines(settings)
    own_names = [list(cuisine.merchants) for cuisine in cuisines]
    names = iter(made_up_names(settings.merchants))
    draws = Draws(settings.seed)
    opened: list[Stall] = []
    for number in range(settings.merchants):
        turn, position = divmod(number, len(cuisines))
        cuisine = cuisines[position]
        of_demo = turn < len(own_names[position])
        name = own_names[position][turn] if of_demo else next(names)
        # Each turn begins one region further, so that every region gets every cuisine.
        merchant = open_merchant(settings.seed, name, regions[(position + turn) % len(regions)], cuisine)
        if not of_demo and cuisine.halal_merchants:
            merchant = replace(merchant, halal=draws.uniform("halal", name) < _HALAL_SHARE)
        opened.append(Stall(merchant, cuisine, lines[number]))
    return tuple(opened)


def made_up_names(count: int) -> tuple[str, ...]:
    """Returns names of restaurants: all different, also as identifiers, and none of the demo's."""
    text = resources.files("iterqr_benchmarks.marketplace").joinpath("data", "merchant_names.toml").read_text("utf-8")
    words = tomllib.loads(text)
    first, second, third = words["first"], words["second"], words["third"]
    total = len(first) * len(second) * len(third)
    taken = {slug(name) for cuisine in load_cuisines() for name in cuisine.merchants}

    def name(number: int) -> str:
        rest, a = divmod(number * _STRIDE % total, len(first))
        c, b = divmod(rest, len(second))
        return f"{first[a]} {second[b]} {third[c]}"

    fresh = (made for made in map(name, range(total)) if slug(made) not in taken)
    return tuple(islice(fresh, count))


def _menu_lines(settings: WorldSettings) -> list[int]:
    """How many lines each menu has: pairs of a longer and a shorter one, so that the sum is exact."""
    even, more = divmod(settings.dishes, settings.merchants)
    lines = [even + (number < more) for number in range(settings.merchants)]
    draws = Draws(settings.seed)
    for number in range(0, settings.merchants - 1, 2):
        shift = round(draws.uniform("menu", number) * even * 0.4)
        lines[number] += shift
        lines[number + 1] -= shift
    return lines
