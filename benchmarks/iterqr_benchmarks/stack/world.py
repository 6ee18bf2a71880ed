"""Puts the demo's world into a node: dishes, and the history of clicked titles as hints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from opensearchpy import OpenSearch

from iterqr_benchmarks.catalog import Catalog
from iterqr_benchmarks.history import click_history
from iterqr_benchmarks.index import DISHES_INDEX, HINTS_INDEX, dishes_mapping, hints_mapping
from iterqr_benchmarks.stack.indexing import create_index, index_documents


@dataclass(frozen=True, slots=True)
class FilledWorld:
    """How many documents each index has."""

    dishes: int
    hints: int


def fill_world(client: OpenSearch, catalog: Catalog, seed: int, on_detail: Callable[[str], None]) -> FilledWorld:
    """Creates and fills both indices.

    Args:
        client: Of a node that has neither index.
        catalog: The dishes.
        seed: Of the click history.
        on_detail: Called with news.
    """
    create_index(client, DISHES_INDEX, dishes_mapping())
    dishes = index_documents(
        client,
        DISHES_INDEX,
        ((dish.dish_id, dish.document()) for dish in catalog.dishes),
        lambda count: on_detail(f"{count:,} of {len(catalog.dishes):,} dishes"),
    )
    on_detail("click history")
    history = click_history(catalog, seed)
    create_index(client, HINTS_INDEX, hints_mapping())
    hints = index_documents(
        client,
        HINTS_INDEX,
        ((f"{number:06d}", hint.document()) for number, hint in enumerate(history)),
        lambda count: on_detail(f"{count:,} of {len(history):,} hint documents"),
    )
    return FilledWorld(dishes=dishes, hints=hints)
