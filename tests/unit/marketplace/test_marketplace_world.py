"""The grown world: its size, its stability, and that its judge agrees with the predicates."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from iterqr_benchmarks.catalog import REGIONS, Dish
from iterqr_benchmarks.errors import MarketplaceError
from iterqr_benchmarks.marketplace.merchants import made_up_names, region_names, stalls
from iterqr_benchmarks.marketplace.settings import MAX_MERCHANTS, AdversitySettings, TrafficSettings, WorldSettings
from iterqr_benchmarks.marketplace.shelf import Shelf
from iterqr_benchmarks.marketplace.world import region_dishes, world_digest, world_dishes
from iterqr_benchmarks.queries import Predicate, load_queries

SMALL = WorldSettings(merchants=120, dishes=2_400, regions=4, seed=11)


def dish(number: int, **changes: object) -> Dish:
    values: dict[str, object] = {
        "dish_id": f"d-{number}", "title": f"Dish {number}", "merchant": "Fox House", "merchant_id": "fox-house",
        "region": "north", "cuisine": "Thai", "description": "", "ingredients": ("tofu",), "tags": ("noodles",),
        "price": 10.0, "rating": 4.5, "orders": 10, "base_dish": "pad-thai",
    }  # fmt: skip
    return Dish(**{**values, **changes})  # type: ignore[arg-type]


def test_the_default_world_is_as_large_as_it_says() -> None:
    settings = WorldSettings()
    merchants = stalls(settings)
    assert (len(merchants), sum(stall.menu_lines for stall in merchants)) == (2_000, 40_000)
    assert len({stall.merchant.merchant_id for stall in merchants}) == 2_000
    assert len({stall.merchant.region for stall in merchants}) == 12
    assert len({(stall.merchant.region, stall.cuisine.name) for stall in merchants}) == 12 * 26
    for region in ("north", "airport"):
        lines = sum(stall.menu_lines for stall in merchants if stall.merchant.region == region)
        assert len(region_dishes(settings, region)) == lines


def test_menus_differ_in_length() -> None:
    lines = [stall.menu_lines for stall in stalls(SMALL)]
    assert min(lines) >= 5
    assert max(lines) - min(lines) >= 5


def test_the_demos_merchants_come_first() -> None:
    assert region_names(4) == REGIONS
    assert stalls(SMALL)[0].merchant.name == stalls(SMALL)[0].cuisine.merchants[0]


def test_a_seed_makes_this_very_world() -> None:
    """Past runs are of this world: change the digest only together with the vocabularies."""
    assert world_digest(SMALL) == "ff9f40beeb82d54fc1342008381dd56004bff122905884ca725a4fa35cada5da"


def test_another_process_makes_the_same_world() -> None:
    code = (
        "from iterqr_benchmarks.marketplace.settings import WorldSettings\n"
        "from iterqr_benchmarks.marketplace.world import world_digest\n"
        f"print(world_digest({SMALL!r}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == world_digest(SMALL)


def test_regions_are_made_by_themselves() -> None:
    whole = list(world_dishes(SMALL))
    assert len({each.dish_id for each in whole}) == len(whole) == 2_400
    assert tuple(each for each in whole if each.region == "south") == region_dishes(SMALL, "south")
    assert region_dishes(SMALL, "north") != region_dishes(WorldSettings(120, 2_400, 4, seed=12), "north")


def test_orders_fall_by_zipfs_law() -> None:
    orders = sorted((each.orders for each in region_dishes(SMALL, "north")), reverse=True)
    assert orders[0] / orders[9] == pytest.approx(10**0.9, rel=0.05)
    assert orders[0] / orders[99] == pytest.approx(100**0.9, rel=0.05)


def test_truth_is_not_indexed() -> None:
    (first, *_) = region_dishes(SMALL, "north")
    assert "base_dish" not in first.document()
    assert first.base_dish not in first.document().values()


def test_made_up_names_are_enough_for_the_largest_world_and_all_different() -> None:
    names = made_up_names(MAX_MERCHANTS)
    assert len(set(names)) == MAX_MERCHANTS
    assert made_up_names(10) == names[:10]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"regions": 0}, "regions is 0; it must be from 1 to 64"),
        ({"merchants": 3}, "merchants is 3; it must be from 12 to 80,000"),
        ({"dishes": 100}, "dishes is 100; it must be from 10,000 to 80,000"),
        ({"merchants": 50_000, "dishes": 1_000_001}, "dishes is 1,000,001; it must be from 250,000 to 1,000,000"),
    ],
)
def test_limits_of_the_world_are_named(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(MarketplaceError) as refused:
        WorldSettings(**wrong)
    assert str(refused.value) == message


def test_limits_of_the_traffic_are_named() -> None:
    with pytest.raises(MarketplaceError, match="days is 0; it must be from 1 to 366"):
        TrafficSettings(days=0)
    with pytest.raises(MarketplaceError, match=r"clock_skew is 1\.5; it must be from 0 to 1"):
        AdversitySettings(clock_skew=1.5)
    with pytest.raises(MarketplaceError, match="arm is 'both'"):
        TrafficSettings(arm="both")  # type: ignore[arg-type]


def test_shelf_satisfies_on_a_constructed_world() -> None:
    shelf = Shelf(
        "north",
        [
            dish(1, ingredients=("tofu", "chili"), price=8.0),
            dish(2, ingredients=("shrimp",), tags=("soup",)),
            dish(3, base_dish="pho", cuisine="Vietnamese", title="Beef Pho", ingredients=("beef",), price=20.0),
        ],
    )

    def satisfying(**conditions: object) -> set[str]:
        return set(shelf.satisfying(Predicate(**conditions)))  # type: ignore[arg-type]

    def words(*texts: str) -> frozenset[str]:
        return frozenset(texts)

    assert satisfying() == {"d-1", "d-2", "d-3"}
    assert satisfying(base_dish=words("pad-thai")) == {"d-1", "d-2"}
    assert satisfying(cuisine=words("Thai", "Vietnamese"), tags_none=words("soup")) == {"d-1", "d-3"}
    assert satisfying(diets_all=words("vegan")) == {"d-1"}
    assert satisfying(contents_any=words("hot", "beef")) == {"d-1", "d-3"}
    assert satisfying(contents_none=words("shellfish")) == {"d-1", "d-3"}
    assert satisfying(title_any=words("beef")) == {"d-3"}
    assert satisfying(price_max=10.0) == {"d-1", "d-2"}
    assert satisfying(ingredients_all=words("tofu", "chili")) == {"d-1"}
    assert satisfying(any_of=(Predicate(base_dish=words("pho")), Predicate(tags_any=words("soup")))) == {"d-2", "d-3"}
    assert satisfying(base_dish=words("no-such")) == set()


def test_shelf_agrees_with_every_predicate_of_the_tuning_queries() -> None:
    shelf = Shelf("north", region_dishes(SMALL, "north"))
    sizes = Counter[bool]()
    for query in load_queries("tuning"):
        found = shelf.satisfying(query.satisfied_by)
        assert found == {each.dish_id for each in shelf.dishes if query.satisfied_by.holds(each)}
        sizes[bool(found)] += 1
    assert sizes[True] > 100


def test_shelf_counts_by_mask() -> None:
    shelf = Shelf("north", [dish(1, orders=10, price=3.0), dish(2, orders=30, price=1.0), dish(3, orders=5)])
    assert shelf.mean_orders(0b011) == 20.0
    assert shelf.mean_orders(0) == 0.0
    assert shelf.prices(0b011) == [1.0, 3.0]
    assert [each.dish_id for each in shelf.select(0b101)] == ["d-1", "d-3"]
