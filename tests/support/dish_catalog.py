"""A small catalog in which it is known what each query retrieves, and in which order.

The words that queries look for are followed by side words that no query has. Documents that could tie under BM25
differ in length, so every channel's order is strict.

    query           retrieves (groups)
    pad tai         ORIGINAL_ONLY, BOTH                    "tai" is in no document
    pad thai        ORIGINAL_ONLY, BOTH, REWRITE_ONLY
    thai noodles    BOTH, REWRITE_ONLY, NOODLES
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from opensearchpy import OpenSearch
from opensearchpy.helpers import bulk

GROUP_SIZE = 12
ORIGINAL_ONLY, BOTH, REWRITE_ONLY, NOODLES, OTHER = "original-only", "both", "rewrite-only", "noodles", "other"

_GROUPS: dict[str, tuple[str, int]] = {  # words, and how many side words the first of the group has
    ORIGINAL_ONLY: ("pad", 1),
    BOTH: ("pad thai", 1),
    REWRITE_ONLY: ("thai noodles", 2),
    NOODLES: ("noodles", 2),
    OTHER: ("pizza", 1),
}
SIZE = GROUP_SIZE * len(_GROUPS)

TYPO = "pad tai"
REWRITES: Mapping[str, tuple[str, ...]] = {
    TYPO: ("pad thai", "thai noodles"),
    "tai nodels": ("thai noodles",),  # retrieves nothing by itself
    "pad": ("thai noodles",),
}

MAPPINGS: Mapping[str, Any] = {
    "dynamic": "strict",
    "properties": {
        "title": {"type": "text", "fields": {"keyword": {"type": "keyword"}}},
        "description": {"type": "text"},
        "group": {"type": "keyword"},
        "region": {"type": "keyword"},
        "price": {"type": "integer"},
        "chef": {"type": "keyword", "store": True},
    },
}


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Identifier and source of every document."""
    for group, (words, sides) in _GROUPS.items():
        for number in range(GROUP_SIZE):
            side_words = " ".join(f"side{side}" for side in range(sides + 2 * number))
            yield (
                f"{group}-{number}",
                {
                    "title": f"{words} {side_words}",
                    "description": f"house special number {number}",
                    "group": group,
                    "region": "north" if number % 2 == 0 else "south",
                    "price": number,
                    "chef": f"chef {number}",
                },
            )


def index_dishes(
    client: OpenSearch,
    index: str,
    *,
    shards: int = 1,
    settings: Mapping[str, Any] | None = None,
    route_by_region: bool = False,
    groups: tuple[str, ...] = tuple(_GROUPS),
) -> None:
    """Makes an index of the catalog, or of some of its groups, ready to be searched."""
    index_settings = {"number_of_shards": shards, "number_of_replicas": 0, **(settings or {})}
    client.indices.create(index=index, body={"settings": {"index": index_settings}, "mappings": MAPPINGS})
    bulk(
        client,
        (
            {"_index": index, "_id": identifier, "_source": source}
            | ({"routing": source["region"]} if route_by_region else {})
            for identifier, source in documents()
            if source["group"] in groups
        ),
        refresh=True,
    )
