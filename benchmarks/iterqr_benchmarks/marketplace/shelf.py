"""A region's dishes, found by what they truly are: the judge of every need, never a search engine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property, reduce
from operator import or_

import numpy as np
import numpy.typing as npt

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
        self._orders = np.array([dish.orders for dish in self.dishes], dtype=np.float64)
        self._prices = np.array([dish.price for dish in self.dishes], dtype=np.float64)

    @cached_property
    def by_id(self) -> dict[str, Dish]:
        """Dishes by id."""
        return {dish.dish_id: dish for dish in self.dishes}

    def satisfying(self, predicate: Predicate) -> frozenset[str]:
        """Returns the ids of the dishes that satisfy every condition."""
        return frozenset(dish.dish_id for dish in self.select(self.mask(predicate)))

    def select(self, mask: int) -> list[Dish]:
        """Returns the dishes whose bits are set, in order."""
        return [self.dishes[i] for i in np.flatnonzero(self._bits(mask))]

    def mean_orders(self, mask: int) -> float:
        """Past orders of a dish, in the mean of those whose bits are set; 0 if none is."""
        return float(self._orders @ self._bits(mask)) / max(1, mask.bit_count())

    def prices(self, mask: int) -> list[float]:
        """Prices of the dishes whose bits are set, in ascending order."""
        return sorted(self._prices[self._bits(mask).astype(bool)].tolist())

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
            found &= _packed(np.array([any(part in title for part in parts) for title in self._titles]))
        if predicate.price_max is not None:
            found &= _packed(self._prices <= predicate.price_max)
        if predicate.any_of:
            found &= reduce(or_, map(self.mask, predicate.any_of))
        return found

    def _any(self, field: str, words: Iterable[str]) -> int:
        return reduce(or_, (self._having.get((field, word), 0) for word in words), 0)

    def _bits(self, mask: int) -> npt.NDArray[np.uint8]:
        """One number a dish, 1 where its bit is set."""
        size = len(self.dishes)
        packed = np.frombuffer(mask.to_bytes(size // 8 + 1, "little"), dtype=np.uint8)
        return np.unpackbits(packed, bitorder="little")[:size]


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
    numbers: dict[_Attribute, int] = {}
    for attribute, found in positions.items():
        held = np.zeros(len(dishes), dtype=bool)
        held[found] = True
        numbers[attribute] = _packed(held)
    return numbers


def _packed(holds: npt.NDArray[np.bool_]) -> int:
    """The number whose bits are set where the condition holds."""
    return int.from_bytes(np.packbits(holds, bitorder="little").tobytes(), "little")
