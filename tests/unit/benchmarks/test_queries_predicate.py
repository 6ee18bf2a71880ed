"""Predicates over dishes, and what the readers of query files refuse."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from iterqr_benchmarks.catalog import Catalog, Dish, WorldDataError
from iterqr_benchmarks.queries import Predicate, TailQuery, normalized, parse_predicate, parse_queries

PAD_THAI = Dish(
    dish_id="siam-01",
    title="Shrimp Pad Thai",
    merchant="Siam Spoon",
    merchant_id="siam-spoon",
    region="north",
    cuisine="Thai",
    description="Rice noodles",
    ingredients=("shrimp", "rice noodles", "egg", "peanuts"),
    tags=("noodles", "gluten-free"),
    price=12.95,
    rating=4.5,
    orders=10,
    base_dish="pad-thai",
)


@pytest.mark.parametrize(
    ("table", "holds"),
    [
        ({"base_dish": "pad-thai"}, True),
        ({"base_dish": ["pho", "ramen"]}, False),
        ({"cuisine": ["Thai", "Indian"]}, True),
        ({"merchant": "Siam Spoon"}, True),
        ({"merchant": "Kaze Ramen"}, False),
        ({"title_any": "pad th"}, True),
        ({"ingredients_any": ["tofu", "shrimp"]}, True),
        ({"ingredients_all": ["shrimp", "tofu"]}, False),
        ({"ingredients_none": "peanuts"}, False),
        ({"contents_any": "shellfish"}, True),
        ({"contents_none": ["pork", "beef"]}, True),
        ({"contents_none": "nuts"}, False),
        ({"tags_any": ["soup", "noodles"]}, True),
        ({"tags_all": ["noodles", "soup"]}, False),
        ({"tags_none": "spicy"}, True),
        ({"diets_all": "dairy-free"}, True),  # true of the ingredients though no label says so
        ({"diets_all": "vegan"}, False),
        ({"price_max": 12.95}, True),
        ({"price_max": 12}, False),
        ({"any_of": [{"base_dish": "pho"}, {"contents_any": "egg"}]}, True),
        ({"any_of": [{"base_dish": "pho"}, {"contents_any": "pork"}]}, False),
        ({"base_dish": "pad-thai", "cuisine": "Thai", "tags_any": "soup"}, False),
    ],
)
def test_predicate_holds(table: dict[str, Any], holds: bool) -> None:
    assert parse_predicate("test", table).holds(PAD_THAI) is holds


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({}, "at least one"),
        ({"dish": "pho"}, "'dish'"),
        ({"base_dish": "phoo"}, "phoo"),
        ({"merchant": "Nobody's"}, "Nobody's"),
        ({"ingredients_any": "unobtainium"}, "unobtainium"),
        ({"contents_none": "lactose"}, "lactose"),
        ({"diets_all": "paleo"}, "paleo"),
        ({"tags_any": []}, "tags_any"),
        ({"tags_any": [3]}, "tags_any"),
        ({"price_max": -1}, "price_max"),
        ({"price_max": True}, "price_max"),
        ({"any_of": [{"base_dish": "pho"}]}, "any_of"),
        ({"any_of": [{"base_dish": "pho"}, {"dish": "pho"}]}, "'dish'"),
    ],
)
def test_wrong_predicate_is_refused_with_its_place(table: dict[str, Any], named: str) -> None:
    with pytest.raises(WorldDataError, match=named) as error:
        parse_predicate("tuning.toml, query 7", table)
    assert str(error.value).startswith("tuning.toml, query 7")


def make_entry(**changes: object) -> dict[str, Any]:
    return {"query": "pad tai", "kind": "typo", "region": "north", "satisfied_by": {"base_dish": "pad-thai"}, **changes}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"kind": "joke"}, "kind"),
        ({"region": "centre"}, "region"),
        ({"query": " ?! "}, "a word"),
        ({"note": "x"}, "exactly the keys"),
    ],
)
def test_wrong_entry_is_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(WorldDataError, match=named):
        parse_queries("tuning.toml", {"queries": [make_entry(**changes)]})


def test_repeated_query_is_refused() -> None:
    with pytest.raises(WorldDataError, match="twice"):
        parse_queries("tuning.toml", {"queries": [make_entry(), make_entry(query="Pad-Tai!")]})


def test_truth_stays_within_the_region() -> None:
    elsewhere = dataclasses.replace(PAD_THAI, dish_id="siam-02", region="south")
    query = TailQuery("pad tai", "typo", "north", Predicate(base_dish=frozenset({"pad-thai"})))
    assert query.satisfying(Catalog((), (PAD_THAI, elsewhere))) == {"siam-01"}


def test_normalized_forgets_case_accents_and_punctuation() -> None:
    assert normalized("Phở  Đặc-Biệt!") == "pho dac biet"
    assert normalized("味噌ラーメン") == normalized(" 味噌ラーメン ")
