"""The demo catalog: its size, its stability, and that what its menus say is true."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

import pytest
from iterqr_benchmarks.catalog import REGIONS, Catalog, Dish, build_catalog
from iterqr_benchmarks.catalog.build import slug

# Written by hand and on purpose not read from the vocabulary: words that prove a food is not what a label says.
_ANIMAL_WORDS = re.compile(
    r"\b(chicken|beef|pork|lamb|goat|duck|turkey|bacon|ham|salami|chorizo|sausage|steak|oxtail|veal|brisket|fish|"
    r"salmon|tuna|cod|haddock|anchov\w+|eel|shrimp|prawn|crab|squid|octopus|clams?|mussels|lobster|oyster|dashi|"
    r"pepperoni|nduja|gravy|chashu)\b"
)
_DAIRY_AND_EGG_WORDS = re.compile(
    r"\b(butter|cheese|cheddar|mozzarella|parmesan|feta|ricotta|paneer|halloumi|cream|milk|yogurt|ghee|eggs?|"
    r"mayonnaise|honey|custard|mascarpone)\b"
)
_PLANT_NAMES = re.compile(
    r"coconut (ice )?cream|(coconut|oat|soy|almond) milk|coconut yogurt|(peanut|almond) butter|butter beans|"
    r"vegan (sausages?|mayo|mozzarella|bun)|vegetarian sausage|(vegetable|onion|tomato) gravy|eggplant|egg rolls|"
    r"dairy-free dark chocolate|cashew mac (and|&) cheese|(mac (and|&) cheese with vegan cashew)"
)
_GLUTEN_WORDS = re.compile(
    r"\b(flour tortilla|baguette|pita|spaghetti|linguine|ramen noodles|udon noodles|soy sauce|bulgur|couscous|"
    r"breadcrumbs|panko|brioche|croissant|sourdough|naan|roti|filo|barley|beer)\b"
)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return build_catalog()


def test_size_and_regions(catalog: Catalog) -> None:
    assert len(catalog.merchants) >= 300
    assert len(catalog.dishes) >= 5_000
    assert {dish.region for dish in catalog.dishes} == set(REGIONS)
    assert len(REGIONS) == 4
    assert len({dish.cuisine for dish in catalog.dishes}) >= 15
    assert min(Counter(dish.region for dish in catalog.dishes).values()) > 0.2 * len(catalog.dishes)


def test_every_region_has_every_cuisine(catalog: Catalog) -> None:
    places = {(merchant.region, merchant.cuisine) for merchant in catalog.merchants}
    assert len(places) == len(REGIONS) * len({merchant.cuisine for merchant in catalog.merchants})


def test_default_seed_gives_this_very_catalog(catalog: Catalog) -> None:
    """Past reports are about this catalog: change the digest only together with the vocabularies."""
    assert catalog.digest() == "84a98d82b8fbe285426e6e1821a195f269d56bdd0a9188742503fa92fc5d43f1"


def test_another_process_builds_the_same_catalog(catalog: Catalog) -> None:
    code = "from iterqr_benchmarks.catalog import build_catalog; print(build_catalog().digest())"
    run = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == catalog.digest()


def test_seed_draws_menus_but_not_merchants(catalog: Catalog) -> None:
    other = build_catalog(seed=1)
    assert other.digest() != catalog.digest()
    assert [(m.name, m.region) for m in other.merchants] == [(m.name, m.region) for m in catalog.merchants]


def test_identifiers_are_unique_and_plain(catalog: Catalog) -> None:
    assert len({dish.dish_id for dish in catalog.dishes}) == len(catalog.dishes)
    assert len({m.merchant_id for m in catalog.merchants}) == len(catalog.merchants)
    assert all(re.fullmatch(r"[a-z0-9-]+", dish.dish_id) for dish in catalog.dishes)
    assert slug("Phở Hòa Bình") == "pho-hoa-binh"
    assert slug("Hank's Hot Chicken") == "hanks-hot-chicken"


def test_document_shows_the_menu_and_hides_the_truth(catalog: Catalog) -> None:
    dish = catalog.dishes[0]
    document = dish.document()
    assert "base_dish" not in document
    assert document.keys() == {field for field in Dish.__slots__ if field != "base_dish"}
    assert document["ingredients"] == list(dish.ingredients)


def test_merchant_sells_what_its_cuisine_sells_and_no_title_twice(catalog: Catalog) -> None:
    cuisine_of = {merchant.merchant_id: merchant.cuisine for merchant in catalog.merchants}
    titles: dict[str, list[str]] = {}
    for dish in catalog.dishes:
        assert dish.cuisine == cuisine_of[dish.merchant_id]
        titles.setdefault(dish.merchant_id, []).append(dish.title)
    assert all(len(menu) == len(set(menu)) for menu in titles.values())
    assert all(len(menu) >= 12 for menu in titles.values())


def test_titles_are_believable(catalog: Catalog) -> None:
    doubled_on_purpose = {"dan", "gado", "huli", "half", "and"}  # Dan Dan Noodles, Gado-Gado, Half and Half
    for dish in catalog.dishes:
        words = re.findall(r"[\w']+", dish.title.lower())
        repeated = {word for word, count in Counter(words).items() if count > 1}
        assert repeated <= doubled_on_purpose, dish.title
        assert 4 <= len(dish.title) <= 64, dish.title
        assert dish.title[0].isupper(), dish.title
        assert "{" not in dish.title + dish.description, dish.title
        assert dish.title == " ".join(dish.title.split())
        assert not re.search(r"\b(with|and|of|in|on)$", dish.title), dish.title
    assert len({dish.title for dish in catalog.dishes}) > 0.4 * len(catalog.dishes)
    assert Counter(dish.title for dish in catalog.dishes).most_common(1)[0][1] <= len(REGIONS) * 5


def _told(dish: Dish) -> str:
    """What a reader learns of the dish's content, without names of plants that sound like animals' products."""
    text = " ".join([dish.title, dish.description, *dish.ingredients]).lower()
    return _PLANT_NAMES.sub(" ", re.sub(r"\bno (dairy|cheese|cream|egg|meat|animals)\b", " ", text))


def _labelled(catalog: Catalog, label: str) -> list[Dish]:
    return [dish for dish in catalog.dishes if label in dish.tags or label in dish.title.lower()]


def test_vegan_dishes_tell_of_no_animal(catalog: Catalog) -> None:
    dishes = _labelled(catalog, "vegan")
    assert len(dishes) > 300
    for dish in dishes:
        assert not _ANIMAL_WORDS.search(_told(dish)), dish
        assert not _DAIRY_AND_EGG_WORDS.search(_told(dish)), dish


def test_vegetarian_and_dairy_free_dishes_tell_of_nothing_forbidden(catalog: Catalog) -> None:
    for dish in _labelled(catalog, "vegetarian"):
        assert not _ANIMAL_WORDS.search(_told(dish).replace("goat cheese", "cheese")), dish
    for dish in _labelled(catalog, "dairy-free"):
        assert not re.search(r"\b(butter|cheddar|mozzarella|parmesan|ghee|yogurt)\b", _told(dish)), dish


def test_gluten_free_dishes_tell_of_no_wheat(catalog: Catalog) -> None:
    dishes = _labelled(catalog, "gluten-free")
    assert len(dishes) > 500
    for dish in dishes:
        assert not _GLUTEN_WORDS.search(" ".join(dish.ingredients)), dish


def test_halal_dishes_have_no_pork_and_no_alcohol(catalog: Catalog) -> None:
    halal = [dish for dish in catalog.dishes if "halal" in dish.tags]
    assert len(halal) > 200
    forbidden = re.compile(r"\b(pork|bacon|ham|chorizo|pepperoni|salami|wine|beer|rum|ale|mirin)\b")
    for dish in halal:
        assert not forbidden.search(re.sub(r"beef pepperoni", "", " ".join(dish.ingredients))), dish
    certified = {merchant.name for merchant in catalog.merchants if merchant.halal}
    assert {dish.merchant for dish in halal} <= certified


def test_spicy_and_mild_exclude_each_other(catalog: Catalog) -> None:
    assert not [dish for dish in catalog.dishes if {"spicy", "mild"} <= set(dish.tags)]


def test_scene_words_stand_on_the_menu_that_says_them(catalog: Catalog) -> None:
    assert all(dish.title.startswith("Kids'") for dish in catalog.dishes if "kids" in dish.tags)
    assert all("Party Tray" in dish.title for dish in catalog.dishes if "party tray" in dish.tags)
    tags = {tag for dish in catalog.dishes for tag in dish.tags}
    assert {"kids", "party tray", "sharing platter", "family meal", "breakfast", "lunch"} <= tags


def test_prices_ratings_and_orders_are_plausible(catalog: Catalog) -> None:
    assert all(1 <= dish.price <= 120 for dish in catalog.dishes)
    assert all(2.8 <= dish.rating <= 5.0 for dish in catalog.dishes)
    for region in REGIONS:
        orders = sorted((dish.orders for dish in catalog.by_region[region]), reverse=True)
        assert orders[-1] >= 1
        tenth = len(orders) // 10
        assert sum(orders[:tenth]) > 0.5 * sum(orders), "a tenth of the dishes takes most orders"
