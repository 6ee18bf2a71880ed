"""The demo's two OpenSearch indices and the plain search that the rewrites must beat."""

from __future__ import annotations

from typing import Any

DISHES_INDEX = "dishes"
HINTS_INDEX = "iterqr-hints"

_ANALYSIS: dict[str, Any] = {
    "filter": {
        "english_possessive": {"type": "stemmer", "language": "possessive_english"},
        "english_stem": {"type": "stemmer", "language": "english"},
        "english_stop": {"type": "stop", "stopwords": "_english_"},
    },
    "analyzer": {
        "menu_text": {
            "type": "custom",
            "tokenizer": "standard",
            # Accents are folded after stop words and before stemming, so that "Phở" and "pho" are one term.
            "filter": ["lowercase", "english_possessive", "english_stop", "asciifolding", "english_stem"],
        }
    },
}
_SETTINGS: dict[str, Any] = {"number_of_shards": 1, "number_of_replicas": 0, "analysis": _ANALYSIS}
_TEXT: dict[str, Any] = {"type": "text", "analyzer": "menu_text"}
_TEXT_AND_KEYWORD: dict[str, Any] = {**_TEXT, "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}


def dishes_mapping() -> dict[str, Any]:
    """Returns the body that creates the index of dishes."""
    return {
        "settings": _SETTINGS,
        "mappings": {
            "dynamic": "strict",
            "properties": {
                "dish_id": {"type": "keyword"},
                "title": _TEXT_AND_KEYWORD,
                "merchant": _TEXT_AND_KEYWORD,
                "merchant_id": {"type": "keyword"},
                "region": {"type": "keyword"},
                "cuisine": _TEXT_AND_KEYWORD,
                "description": _TEXT,
                "ingredients": _TEXT_AND_KEYWORD,
                "tags": _TEXT_AND_KEYWORD,
                "price": {"type": "scaled_float", "scaling_factor": 100},
                "rating": {"type": "half_float"},
                "orders": {"type": "integer"},
            },
        },
    }


def hints_mapping() -> dict[str, Any]:
    """Returns the body that creates the index of hints: one document per region and past query."""
    return {
        "settings": _SETTINGS,
        "mappings": {
            "dynamic": "strict",
            "properties": {
                "region": {"type": "keyword"},
                "query": _TEXT_AND_KEYWORD,
                "titles": {
                    "properties": {
                        "title": _TEXT,
                        "clicks": {"type": "integer"},
                        "clients": {"type": "integer"},
                    }
                },
                "clicks": {"type": "long"},
            },
        },
    }


def search_body(query: str, region: str, size: int) -> dict[str, Any]:
    """Returns the plain search for the user's text among the dishes of a region.

    Of the usual shapes it is the one that finds most on the tuning queries without rewrites (nDCG@10 0.53): with any
    of the words, spelt about so, best in one field. Without fuzziness it is 0.33; asking for most of the words (0.34)
    leaves over half of the tail queries empty. The text is a value of `multi_match` and never query syntax.
    """
    return {
        "size": size,
        "query": {
            "bool": {
                "must": [
                    {
                        "multi_match": {
                            "query": query,
                            "type": "best_fields",
                            "fields": ["title^2", "merchant^2", "cuisine", "ingredients", "tags", "description"],
                            "tie_breaker": 0.6,
                            "fuzziness": "AUTO",
                            "prefix_length": 1,
                        }
                    }
                ],
                "filter": [{"term": {"region": region}}],
            }
        },
    }
