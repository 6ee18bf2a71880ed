"""What users of a region want, before anybody has put it into words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from iterqr_benchmarks.catalog.ingredients import CONTENTS
from iterqr_benchmarks.catalog.vocabulary import Cuisine, load_cuisines
from iterqr_benchmarks.marketplace.draws import Draws
from iterqr_benchmarks.marketplace.lexicon import Lexicon
from iterqr_benchmarks.marketplace.shelf import Shelf
from iterqr_benchmarks.queries import Predicate

NeedKind = Literal[
    "dish", "cuisine", "ingredient", "diet", "scene", "merchant", "price", "region", "combination"
]  # fmt: skip
# How much of what people search for is of each kind.
KIND_SHARES: dict[NeedKind, float] = {
    "dish": 0.33,
    "combination": 0.16,
    "cuisine": 0.11,
    "scene": 0.10,
    "diet": 0.09,
    "merchant": 0.08,
    "ingredient": 0.07,
    "price": 0.04,
    "region": 0.02,
}
_DIETS = ("vegan", "vegetarian", "gluten-free", "dairy-free", "keto")
_LEAST_INGREDIENT_DISHES = 3
_CHEAP_SHARE = 0.4  # of the dishes in question are cheap enough
_NOISE = 0.5  # of the popularity's logarithm


@dataclass(frozen=True, slots=True)
class Terms:
    """What a need is about; "" and 0 where it is not about that. Prices in the marketplace's currency."""

    dish: str = ""
    variant: str = ""
    cuisine: str = ""
    ingredient: str = ""
    diet: str = ""
    scene: str = ""
    merchant: str = ""
    region: str = ""
    price_max: float = 0.0


@dataclass(frozen=True, slots=True)
class Need:
    """Something that users of one region want.

    `satisfied_by` is the truth. `weight` is its share of the region's needs, before users' tastes. `need_id` is the
    same wherever the need exists, with the region before it.
    """

    need_id: str
    kind: NeedKind
    terms: Terms
    satisfied_by: Predicate
    weight: float


@dataclass(frozen=True, slots=True)
class _Idea:
    key: str
    kind: NeedKind
    terms: Terms
    predicate: Predicate


def build_needs(shelf: Shelf, lexicon: Lexicon, draws: Draws, exponent: float) -> tuple[Need, ...]:
    """Returns the needs of a region that at least one of its dishes satisfies; the weights add up to 1.

    Within a kind weights fall with the rank as Zipf's law has it; what satisfies with more orders ranks higher, by and
    large.

    Args:
        shelf: The region's dishes.
        lexicon: Has the scenes.
        draws: For how far a need's rank is from its dishes' orders.
        exponent: Of Zipf's law.
    """
    ranked: dict[NeedKind, list[tuple[float, _Idea]]] = {kind: [] for kind in KIND_SHARES}
    for idea in _ideas(shelf, lexicon):
        mask = shelf.mask(idea.predicate)
        if mask:
            noise = draws.stream("need", shelf.region, idea.key).lognormvariate(0, _NOISE)
            # What few dishes satisfy is no less wanted for it: the mean counts, not the sum.
            ranked[idea.kind].append((shelf.mean_orders(mask) * noise, idea))
    present = {kind: share for kind, share in KIND_SHARES.items() if ranked[kind]}
    all_shares = sum(present.values())
    needs: list[Need] = []
    for kind, share in present.items():
        ideas = [idea for _, idea in sorted(ranked[kind], key=lambda each: (-each[0], each[1].key))]
        zipf = [rank**-exponent for rank in range(1, len(ideas) + 1)]
        total = sum(zipf)
        needs += (
            Need(f"{shelf.region}/{idea.key}", kind, idea.terms, idea.predicate, share / all_shares * part / total)
            for idea, part in zip(ideas, zipf, strict=True)
        )
    return tuple(needs)


def _ideas(shelf: Shelf, lexicon: Lexicon) -> Iterator[_Idea]:
    cuisines = load_cuisines()
    for cuisine in cuisines:
        yield from _of_cuisine(shelf, cuisine)
    for ingredient, predicate in _wanted_ingredients():
        if shelf.mask(predicate).bit_count() >= _LEAST_INGREDIENT_DISHES:
            yield _Idea(f"ingredient/{ingredient}", "ingredient", Terms(ingredient=ingredient), predicate)
    for diet in _DIETS:
        predicate = Predicate(diets_all=frozenset({diet}), tags_none=_DRINKS)
        yield _Idea(f"diet/{diet}", "diet", Terms(diet=diet), predicate)
    for scene in lexicon.scenes:
        yield _Idea(f"scene/{scene.name}", "scene", Terms(scene=scene.name), scene.satisfied_by)
    for merchant in sorted({dish.merchant for dish in shelf.dishes}):
        predicate = Predicate(merchant=frozenset({merchant}))
        yield _Idea(f"merchant/{merchant}", "merchant", Terms(merchant=merchant), predicate)


_DRINKS = frozenset({"drink", "cold drink", "hot drink", "coffee", "fruit tea"})


def _of_cuisine(shelf: Shelf, cuisine: Cuisine) -> Iterator[_Idea]:
    whole = Predicate(cuisine=frozenset({cuisine.name}))
    about = Terms(cuisine=cuisine.name)
    yield _Idea(f"cuisine/{cuisine.name}", "cuisine", about, whole)
    yield _Idea(
        f"region/{cuisine.name}", "region", Terms(cuisine=cuisine.name, region=shelf.region), whole
    )  # what is offered is of the region anyhow; the user says so
    yield from _cheap(shelf, f"price/{cuisine.name}", about, whole)
    for diet in _DIETS:
        both = Predicate(cuisine=whole.cuisine, diets_all=frozenset({diet}))
        yield _Idea(f"diet/{diet}/{cuisine.name}", "diet", Terms(cuisine=cuisine.name, diet=diet), both)
    for recipe in cuisine.recipes:
        dish = Predicate(base_dish=frozenset({recipe.name}))
        terms = Terms(dish=recipe.name, cuisine=cuisine.name)
        yield _Idea(f"dish/{recipe.name}", "dish", terms, dish)
        yield from _cheap(shelf, f"price/{recipe.name}", terms, dish)
        for diet in _DIETS:
            both = Predicate(base_dish=dish.base_dish, diets_all=frozenset({diet}))
            if 0 < shelf.mask(both).bit_count() < shelf.mask(dish).bit_count():
                own = Terms(dish=recipe.name, cuisine=cuisine.name, diet=diet)
                yield _Idea(f"combination/{recipe.name}/{diet}", "combination", own, both)
        for variant in recipe.variants:
            if not variant.words or not variant.adds:
                continue
            own = Terms(
                dish=recipe.name, variant=variant.words.lower(), cuisine=cuisine.name, ingredient=variant.adds[0]
            )
            exact = Predicate(base_dish=dish.base_dish, ingredients_all=frozenset(variant.adds))
            yield _Idea(f"combination/{recipe.name}/{variant.words.lower()}", "combination", own, exact)


def _cheap(shelf: Shelf, key: str, terms: Terms, predicate: Predicate) -> Iterator[_Idea]:
    """The same for less money: about the cheaper two fifths of it, by a round price."""
    prices = shelf.prices(shelf.mask(predicate))
    if len(prices) < 3:
        return
    most = float(max(2, round(prices[int(len(prices) * _CHEAP_SHARE)])))
    limited = Predicate(base_dish=predicate.base_dish, cuisine=predicate.cuisine, price_max=most)
    priced = Terms(dish=terms.dish, cuisine=terms.cuisine, price_max=most)
    yield _Idea(key, "price", priced, limited)


@cache
def _wanted_ingredients() -> Sequence[tuple[str, Predicate]]:
    """Ingredients that people look for: what variants bring, and kinds of meat and fish whatever the cut."""
    brought = {
        variant.adds[0]
        for cuisine in load_cuisines()
        for recipe in cuisine.recipes
        for variant in recipe.variants
        if variant.adds
    }
    kinds = CONTENTS & {"pork", "beef", "lamb", "fish", "shellfish"}
    exact = [(name, Predicate(ingredients_any=frozenset({name}))) for name in sorted(brought) if name not in kinds]
    return (*exact, *((kind, Predicate(contents_any=frozenset({kind}))) for kind in sorted(kinds)))
