"""Reads the two packaged sets of tail queries.

An entry of `data/heldout.toml` and `data/tuning.toml`:

    { query = "spag bol", kind = "colloquial", region = "north",
      satisfied_by = { base_dish = "bolognese", ingredients_any = "spaghetti" } },
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any, Literal

from iterqr_benchmarks.catalog import REGIONS, WorldDataError
from iterqr_benchmarks.queries.normalized import normalized
from iterqr_benchmarks.queries.predicate import parse_predicate
from iterqr_benchmarks.queries.tail_query import TailQuery

QuerySetName = Literal["heldout", "tuning"]
KINDS = ("typo", "colloquial", "scene", "dietary", "ingredient", "foreign", "merchant")
_KEYS = {"query", "kind", "region", "satisfied_by"}


@cache
def load_queries(name: QuerySetName) -> tuple[TailQuery, ...]:
    """Returns one set, in file order.

    Raises:
        WorldDataError: an entry is wrong; the message names file, entry and key.
    """
    text = resources.files("iterqr_benchmarks.queries").joinpath("data", f"{name}.toml").read_text("utf-8")
    return parse_queries(f"{name}.toml", tomllib.loads(text))


def parse_queries(file: str, table: dict[str, Any]) -> tuple[TailQuery, ...]:
    """Turns a file's table into queries.

    Raises:
        WorldDataError: see `load_queries`.
    """
    queries = tuple(_parse_query(f"{file}, query {i}", entry) for i, entry in enumerate(table["queries"], start=1))
    seen: set[str] = set()
    for query in queries:
        if (form := normalized(query.query)) in seen:
            raise WorldDataError(f"{file}: {query.query!r} is there twice")
        seen.add(form)
    return queries


def _parse_query(where: str, entry: dict[str, Any]) -> TailQuery:
    if entry.keys() != _KEYS:
        raise WorldDataError(f"{where}: needs exactly the keys {', '.join(sorted(_KEYS))}")
    text = entry["query"]
    if not isinstance(text, str) or not normalized(text):
        raise WorldDataError(f"{where}: query must be a text with a word in it")
    where = f"{where} ({text!r})"
    if entry["kind"] not in KINDS:
        raise WorldDataError(f"{where}: kind must be one of {', '.join(KINDS)}")
    if entry["region"] not in REGIONS:
        raise WorldDataError(f"{where}: region must be one of {', '.join(REGIONS)}")
    return TailQuery(text, entry["kind"], entry["region"], parse_predicate(where, entry["satisfied_by"]))
