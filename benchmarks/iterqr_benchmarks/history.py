"""A simulated past of head and torso searches: the clicked titles from which hints are read.

Users of a region want a dish (popular ones more often), name it as head queries do (the dish, the restaurant, the
cuisine, an ingredient, a diet; now and then with a common spelling error) and click among the dishes that answer
the name. What the tail queries ask for is not read here: a tail query that the simulation happens to produce is
dropped, as nobody has searched it before.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

from iterqr_benchmarks.catalog import Catalog, Dish, load_ingredients
from iterqr_benchmarks.catalog.vocabulary import load_cuisines
from iterqr_benchmarks.misspelling import common_misspelling
from iterqr_benchmarks.queries import load_queries, normalized

SEARCHES_PER_REGION = 3_000
CLIENTS_PER_REGION = 800
MIN_CLIENTS = 3  # fewer distinct clients could give a person away
MAX_TITLES = 8
_CLICKS_PER_SEARCH = (0, 1, 1, 1, 2, 2, 3)
_OWN_DISH_SHARE = 0.6
_MISSPELT_SHARE = 0.07
_NAMING_WEIGHTS = {"dish": 34, "title": 14, "merchant": 12, "cuisine": 12, "ingredient": 10, "diet": 10, "section": 8}


@dataclass(frozen=True, slots=True)
class ClickedTitle:
    """A title clicked after a query: how often, and by how many people."""

    title: str
    clicks: int
    clients: int


@dataclass(frozen=True, slots=True)
class HintDocument:
    """What a region's users clicked after one query, most clicked first."""

    region: str
    query: str
    titles: tuple[ClickedTitle, ...]

    @property
    def clicks(self) -> int:
        """Clicks on all titles together."""
        return sum(title.clicks for title in self.titles)

    def document(self) -> dict[str, object]:
        """Returns it as the hints index holds it."""
        titles = [{"title": t.title, "clicks": t.clicks, "clients": t.clients} for t in self.titles]
        return {"region": self.region, "query": self.query, "titles": titles, "clicks": self.clicks}


@dataclass(frozen=True, slots=True)
class _Naming:
    """What a user types for the dish wanted, and which dishes answer it."""

    text: str
    answers: Callable[[Dish], bool]


def click_history(catalog: Catalog, seed: int = 20260101) -> tuple[HintDocument, ...]:
    """Returns the hints of all regions, ordered by region and query; the same for the same catalog and seed."""
    unseen = {normalized(query.query) for query in (*load_queries("heldout"), *load_queries("tuning"))}
    documents: list[HintDocument] = []
    for region, dishes in catalog.by_region.items():
        documents += _aggregate(region, _simulate(random.Random(f"{seed}/history/{region}"), dishes, unseen))
    return tuple(sorted(documents, key=lambda document: (document.region, document.query)))


def _simulate(rng: random.Random, dishes: tuple[Dish, ...], unseen: set[str]) -> Iterable[tuple[str, str, int]]:
    """Yields (query, clicked title, client number)."""
    orders = list(accumulate(dish.orders for dish in dishes))
    activity = list(accumulate(1 / rank**0.5 for rank in range(1, CLIENTS_PER_REGION + 1)))
    clients = range(CLIENTS_PER_REGION)
    answers_by_text: dict[str, list[Dish]] = {}
    for _ in range(SEARCHES_PER_REGION):
        (wanted,) = rng.choices(dishes, cum_weights=orders)
        (client,) = rng.choices(clients, cum_weights=activity)
        naming = _name(rng, wanted)
        if naming.text not in answers_by_text:
            answers_by_text[naming.text] = [dish for dish in dishes if naming.answers(dish)]
        answers = answers_by_text[naming.text]
        text = common_misspelling(rng, naming.text) if rng.random() < _MISSPELT_SHARE else naming.text
        if normalized(text) in unseen:
            continue
        for _ in range(rng.choice(_CLICKS_PER_SEARCH)):
            own = rng.random() < _OWN_DISH_SHARE
            clicked = wanted if own else rng.choices(answers, [dish.orders for dish in answers])[0]
            yield text, clicked.title, client


def _name(rng: random.Random, wanted: Dish) -> _Naming:
    (way,) = rng.choices(list(_NAMING_WEIGHTS), list(_NAMING_WEIGHTS.values()))
    name = wanted.base_dish.replace("-", " ")
    cuisine = wanted.cuisine.lower().split(" & ")[0]
    main = wanted.ingredients[0]
    match way:
        case "title":
            return _Naming(wanted.title.lower(), lambda dish: dish.title == wanted.title)
        case "merchant":
            return _Naming(wanted.merchant.lower(), lambda dish: dish.merchant == wanted.merchant)
        case "cuisine":
            text = rng.choice([cuisine, f"{cuisine} food", f"{cuisine} near me"])
            return _Naming(text, lambda dish: dish.cuisine == wanted.cuisine)
        case "ingredient" if main in _own_ingredients(wanted):
            return _Naming(
                f"{main} {name}", lambda dish: dish.base_dish == wanted.base_dish and main in dish.ingredients
            )
        case "diet" if diets := sorted(_named_diets(wanted.ingredients)):
            diet = rng.choice(diets)
            text, own = rng.choice([(f"{diet} {name}", True), (f"{diet} {cuisine}", False)])
            return _Naming(
                text,
                lambda dish: (
                    diet in _named_diets(dish.ingredients)
                    and (dish.base_dish == wanted.base_dish if own else dish.cuisine == wanted.cuisine)
                ),
            )
        case "section" if wanted.tags and wanted.tags[0] != "main":
            tag = wanted.tags[0]
            return _Naming(f"{cuisine} {tag}", lambda dish: dish.cuisine == wanted.cuisine and tag in dish.tags)
        case _:
            return _Naming(name, lambda dish: dish.base_dish == wanted.base_dish)


def _own_ingredients(dish: Dish) -> frozenset[str]:
    """Ingredients that a recipe's variants bring, not the recipe itself: what users add to a dish's name."""
    return frozenset(dish.ingredients) - _recipe_ingredients()[dish.base_dish]


@cache
def _recipe_ingredients() -> dict[str, frozenset[str]]:
    return {recipe.name: frozenset(recipe.ingredients) for cuisine in load_cuisines() for recipe in cuisine.recipes}


@cache
def _named_diets(ingredients: tuple[str, ...]) -> frozenset[str]:
    return load_ingredients().diets(ingredients) & {"vegan", "vegetarian", "gluten-free"}


def _aggregate(region: str, clicks: Iterable[tuple[str, str, int]]) -> Iterable[HintDocument]:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    people: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for query, title, client in clicks:
        counts[query][title] += 1
        people[query, title].add(client)
    for query, titles in counts.items():
        ranked = sorted(titles.items(), key=lambda item: (-item[1], item[0]))
        kept = [ClickedTitle(title, n, len(people[query, title])) for title, n in ranked]
        kept = [title for title in kept if title.clients >= MIN_CLIENTS][:MAX_TITLES]
        if kept:
            yield HintDocument(region, query, tuple(kept))
