"""Vocabulary files: what is refused, and how a recipe becomes a line of a menu."""

from __future__ import annotations

import random
from typing import Any

import pytest
from iterqr_benchmarks.catalog import Merchant, WorldDataError, load_ingredients
from iterqr_benchmarks.catalog.ingredients import IngredientTable
from iterqr_benchmarks.catalog.menu import allowed_variants, combine, menu_tags, name_variant, write_line
from iterqr_benchmarks.catalog.vocabulary import Recipe, Variant, load_cuisines, parse_cuisine


def make_table(**recipe: object) -> dict[str, Any]:
    dish = {
        "titles": ["{v} Pad Thai"],
        "v": ["Shrimp", "Vegan Tofu: tofu, -egg"],
        "base": "rice noodles, egg, lime",
        "about": "Stir-fried with tamarind",
        "price": [10, 14],
        **recipe,
    }
    return {"cuisine": "Thai", "merchants": ["Siam"], "dishes": {"pad-thai": dish}}


def make_recipe(**recipe: object) -> Recipe:
    return parse_cuisine("thai.toml", make_table(**recipe)).recipes[0]


def make_merchant(*, halal: bool = False, labels_diets: bool = True) -> Merchant:
    return Merchant("siam", "Siam", "north", "Thai", 1.0, halal, labels_diets)


def test_variant_brings_and_replaces_ingredients() -> None:
    recipe = make_recipe()
    shrimp, tofu = recipe.variants
    assert combine(recipe.ingredients, shrimp) == ("shrimp", "rice noodles", "egg", "lime")
    assert combine(recipe.ingredients, tofu) == ("tofu", "rice noodles", "lime")


def test_variant_without_words_leaves_no_gap_in_the_title() -> None:
    plain = Variant("", (), ())
    assert name_variant("{v} Horchata", plain) == "Horchata"
    assert name_variant("Horchata {v}", plain) == "Horchata"
    assert name_variant("Jerk Plate with {v}", plain) == "Jerk Plate"
    assert name_variant("{v} Guacamole and Chips", plain) == "Guacamole and Chips"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"base": "rice noodles, unobtainium"}, "unobtainium"),
        ({"v": ["Tofu: tofu, -peanuts"]}, "peanuts"),
        ({"v": ["Tofu: tofu, -egg"], "about": "Tossed with egg"}, "about"),
        ({"formats": "bucket"}, "bucket"),
        ({"price": [12, 9]}, "price"),
        ({"colour": "red"}, "colour"),
        ({"v": ["with Lime: lime"]}, "first word"),
    ],
)
def test_wrong_recipe_is_refused_and_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(WorldDataError, match=named) as error:
        parse_cuisine("thai.toml", make_table(**change))
    assert "thai.toml: pad-thai" in str(error.value)


def test_unknown_keys_and_missing_ones_are_refused() -> None:
    with pytest.raises(WorldDataError, match="unknown keys"):
        parse_cuisine("thai.toml", {**make_table(), "stars": 3})
    table = make_table()
    del table["dishes"]["pad-thai"]["about"]
    with pytest.raises(WorldDataError, match="about"):
        parse_cuisine("thai.toml", table)
    with pytest.raises(WorldDataError, match="halal_merchants"):
        parse_cuisine("thai.toml", {**make_table(), "halal_merchants": ["Nobody"]})


def test_halal_kitchen_sells_no_pork() -> None:
    recipe = make_recipe(v=["Pork", "Chicken", "Wine-Braised: white wine"])
    table = load_ingredients()
    assert [v.words for v in allowed_variants(recipe, make_merchant(halal=True), table)] == ["Chicken"]
    assert len(allowed_variants(recipe, make_merchant(), table)) == 3


def test_menu_labels_only_what_is_true_and_only_where_the_merchant_labels() -> None:
    recipe, table = make_recipe(), load_ingredients()
    tofu = combine(recipe.ingredients, recipe.variants[1])
    assert menu_tags(make_merchant(), recipe, None, tofu, table) == ("vegan", "gluten-free")
    assert menu_tags(make_merchant(labels_diets=False), recipe, None, tofu, table) == ()
    shrimp = combine(recipe.ingredients, recipe.variants[0])
    assert menu_tags(make_merchant(), recipe, None, shrimp, table) == ("gluten-free", "dairy-free")


def test_extra_never_breaks_what_the_title_promises() -> None:
    recipe = make_recipe(v=["Vegan Tofu: tofu, -egg"], extras=["Fried Egg: egg"])
    lines = [
        write_line(random.Random(seed), make_merchant(), recipe, recipe.variants[0], (), load_ingredients())
        for seed in range(50)
    ]
    assert {line.title for line in lines} == {"Vegan Tofu Pad Thai"}


def test_diets_follow_from_contents() -> None:
    table = IngredientTable(
        {
            "tofu": frozenset({"filling"}),
            "rice": frozenset({"carbs"}),
            "honey": frozenset({"honey", "carbs"}),
            "mint": frozenset(),
        }
    )
    assert table.diets(["tofu"]) == {"vegan", "vegetarian", "gluten-free", "dairy-free", "nut-free", "keto"}
    assert "keto" not in table.diets(["tofu", "rice"])
    assert "keto" not in table.diets(["mint"])  # a leaf is no keto meal
    assert "vegan" not in table.diets(["tofu", "honey"])
    with pytest.raises(WorldDataError, match="plutonium"):
        table.diets(["plutonium"])


def test_no_ingredient_of_the_table_is_unused() -> None:
    used = {name for cuisine in load_cuisines() for recipe in cuisine.recipes for name in recipe.ingredients}
    for cuisine in load_cuisines():
        for recipe in cuisine.recipes:
            used |= {name for variant in (*recipe.variants, *recipe.extras) for name in variant.adds}
    assert load_ingredients().contents_by_name.keys() - used == set()
