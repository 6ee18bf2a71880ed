"""The dishes of a grown world, made region by region: no more than one region's is held at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from iterqr_benchmarks.catalog import Dish, Merchant, load_ingredients
from iterqr_benchmarks.catalog.build import listed_dishes, write_menu
from iterqr_benchmarks.catalog.menu import MenuLine
from iterqr_benchmarks.marketplace.draws import Draws
from iterqr_benchmarks.marketplace.merchants import region_names, stalls
from iterqr_benchmarks.marketplace.settings import WorldSettings

# Orders fall with a dish's rank in its region as Zipf's law has it, as in the demo's catalog.
_TOP_ORDERS, _ZIPF_EXPONENT = 9_000, 0.9


def world_dishes(settings: WorldSettings) -> Iterator[Dish]:
    """Yields every dish, region after region. `Dish.base_dish` is truth and not part of what is indexed."""
    for region in region_names(settings.regions):
        yield from region_dishes(settings, region)


def region_dishes(settings: WorldSettings, region: str) -> tuple[Dish, ...]:
    """Returns the dishes of one region, the same whichever other regions were made before."""
    table = load_ingredients()
    lines = [
        (stall.merchant, line)
        for stall in stalls(settings)
        if stall.merchant.region == region
        for line in write_menu(
            settings.seed, stall.merchant, stall.cuisine, table, (stall.menu_lines, stall.menu_lines)
        )
    ]
    return tuple(_rate(settings.seed, region, lines))


def world_digest(settings: WorldSettings) -> str:
    """Returns the SHA-256 of all dishes, truth included, so that two worlds can be compared."""
    digest = hashlib.sha256()
    for dish in world_dishes(settings):
        digest.update(json.dumps([dish.document(), dish.base_dish], sort_keys=True, ensure_ascii=False).encode())
    return digest.hexdigest()


def _rate(seed: int, region: str, lines: list[tuple[Merchant, MenuLine]]) -> Iterator[Dish]:
    rng = Draws(seed).stream("ratings", region)
    ratings = [round(min(5.0, max(2.8, rng.gauss(4.3, 0.35))), 1) for _ in lines]
    scores = [
        line.popularity * rating**2 * rng.lognormvariate(0, 0.9)
        for (_, line), rating in zip(lines, ratings, strict=True)
    ]
    orders: dict[int, int] = {}
    for rank, i in enumerate(sorted(range(len(lines)), key=lambda i: -scores[i]), start=1):
        orders[i] = max(1, round(_TOP_ORDERS / rank**_ZIPF_EXPONENT))
    yield from listed_dishes(lines, ratings, orders)
