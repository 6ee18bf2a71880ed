"""The demo catalog: dishes of a food-delivery marketplace, made by code from hand-written vocabularies."""

from iterqr_benchmarks.catalog.build import REGIONS, build_catalog
from iterqr_benchmarks.catalog.ingredients import IngredientTable, load_ingredients
from iterqr_benchmarks.catalog.model import Catalog, Dish, Merchant, WorldDataError

__all__ = [
    "REGIONS",
    "Catalog",
    "Dish",
    "IngredientTable",
    "Merchant",
    "WorldDataError",
    "build_catalog",
    "load_ingredients",
]
