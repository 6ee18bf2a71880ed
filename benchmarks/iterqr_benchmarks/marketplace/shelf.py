"""A region's dishes, found by what they truly are: the judge of every need, never a search engine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, reduce
from operator import or_

from iterqr_benchmarks.catalog import Dish, load_ingredients
from iterqr_benchmarks.queries import Predicate

_Attribute = tuple[str, str]


class Shelf:
    """Dishes of one region with an index of their attributes: a bit for each dish in one number an attribute.

    `satisfying` agrees with `Predicate.holds` on every dish, without looking at each.
    """

    def __init__(self, region: str, dishes: Sequence[Dish]) -> None:
        self.region = region
        self.dishes = tuple(dishes)
        self.all = (1 << len(self.dishes)) - 1
        self._having = _index(self.dishes)
        self._titles = [dish.title.lower() for dish in self.dishes]

    @cached_property
    def by_id(self) -> dict[str, Dish]:
        """Dishes by id."""
        return {dish.dish_id: dish for dish in self.dishes}

    def satisfying(self, predicate: Predicate) -> frozenset[str]:
        """Returns the ids of the dishes that satisfy every condition."""
        return frozenset(dish.dish_id for dish in self.select(self.mask(predicate)))

    def select(self, mask: int) -> list[Dish]:
        """Returns the dishes whose bits are set, in order."""
        bits = bin(mask)[:1:-1]
        return [dish for dish, bit in zip(self.dishes, bits, strict=False) if bit == "1"]

    def mask(self, predicate: Predicate) -> int:
        """Returns a number with a bit for each dish that satisfies every condition; bit 0 is the first dish."""
        found = self.all
        for field, words in (
            ("base_dish", predicate.base_dish),
            ("cuisine", predicate.cuisine),
            ("merchant", predicate.merchant),
            ("ingredient", predicate.ingredients_any),
            ("contents", predicate.contents_any),
            ("tag", predicate.tags_any),
        ):
            if words:
                found &= self._any(field, words)
        for field, words in (
            ("ingredient", predicate.ingredients_all),
            ("tag", predicate.tags_all),
            ("diet", predicate.diets_all),
        ):
            for word in words:
                found &= self._having.get((field, word), 0)
        for field, words in (
            ("ingredient", predicate.ingredients_none),
            ("contents", predicate.contents_none),
            ("tag", predicate.tags_none),
        ):
            found &= ~self._any(field, words)
        if predicate.title_any:
            parts = [part.lower() for part in predicate.title_any]
            found &= self._where(lambda i: any(part in self._titles[i] for part in parts))
        if predicate.price_max is not None:
            most = predicate.price_max
            found &= self._where(lambda i: self.dishes[i].price <= most)
        if predicate.any_of:
            found &= reduce(or_, map(self.mask, predicate.any_of))
        return found

    def _any(self, field: str, words: Iterable[str]) -> int:
        return reduce(or_, (self._having.get((field, word), 0) for word in words), 0)

    def _where(self, holds: Callable[[int], bool]) -> int:
        return _number((i for i in range(len(self.dishes)) if holds(i)), len(self.dishes))


def _index(dishes: Sequence[Dish]) -> dict[_Attribute, int]:
    table = load_ingredients()
    positions: defaultdict[_Attribute, list[int]] = defaultdict(list)
    for i, dish in enumerate(dishes):
        attributes: set[_Attribute] = {
            ("base_dish", dish.base_dish),
            ("cuisine", dish.cuisine),
            ("merchant", dish.merchant),
            *(("ingredient", name) for name in dish.ingredients),
            *(("contents", name) for name in table.contents(dish.ingredients)),
            *(("tag", name) for name in dish.tags),
            *(("diet", name) for name in table.diets(dish.ingredients)),
        }
        for attribute in attributes:
            positions[attribute].append(i)
    return {attribute: _number(found, len(dishes)) for attribute, found in positions.items()}


def _number(positions: Iterable[int], size: int) -> int:
    """The number whose bits at these positions are set."""
    digits = bytearray(size // 8 + 1)
    for i in positions:
        digits[i >> 3] |= 1 << (i & 7)
    return int.from_bytes(digits, "little")
