"""What a catalog is: merchants and the dishes they sell."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

from iterqr_benchmarks.errors import BenchmarkError


class WorldDataError(BenchmarkError):
    """A data file of the demo world (vocabulary or queries) is wrong; the message names file and entry."""


@dataclass(frozen=True, slots=True)
class Merchant:
    """One restaurant in one region.

    `labels_diets` says whether its menu marks vegan, gluten-free and other dishes; where it does not, such dishes
    exist all the same but carry no label.
    """

    merchant_id: str
    name: str
    region: str
    cuisine: str
    price_factor: float
    halal: bool
    labels_diets: bool


@dataclass(frozen=True, slots=True)
class Dish:
    """One line of one merchant's menu. `price` is in the marketplace's currency, `orders` counts past orders.

    `base_dish` names the recipe behind the title. It is the truth that judges searches and is never indexed.
    """

    dish_id: str
    title: str
    merchant: str
    merchant_id: str
    region: str
    cuisine: str
    description: str
    ingredients: tuple[str, ...]
    tags: tuple[str, ...]
    price: float
    rating: float
    orders: int
    base_dish: str

    def document(self) -> dict[str, object]:
        """Returns what is indexed: all a menu shows."""
        return {
            "dish_id": self.dish_id,
            "title": self.title,
            "merchant": self.merchant,
            "merchant_id": self.merchant_id,
            "region": self.region,
            "cuisine": self.cuisine,
            "description": self.description,
            "ingredients": list(self.ingredients),
            "tags": list(self.tags),
            "price": self.price,
            "rating": self.rating,
            "orders": self.orders,
        }


@dataclass(frozen=True)
class Catalog:
    """All merchants and dishes, in a stable order."""

    merchants: tuple[Merchant, ...]
    dishes: tuple[Dish, ...]

    @cached_property
    def by_region(self) -> dict[str, tuple[Dish, ...]]:
        """Dishes by region, in catalog order."""
        regions = dict.fromkeys(dish.region for dish in self.dishes)
        return {region: tuple(dish for dish in self.dishes if dish.region == region) for region in regions}

    def digest(self) -> str:
        """Returns the SHA-256 of everything in it, so that two builds can be compared."""
        lines = [json.dumps([d.document(), d.base_dish], sort_keys=True, ensure_ascii=False) for d in self.dishes]
        lines += [repr(merchant) for merchant in self.merchants]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()
