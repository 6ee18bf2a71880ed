"""The searches that look for hints and how their replies are read. Pure: no I/O.

A query's text appears only as a JSON value of a `match` or `terms` clause, so it can never become query syntax.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from iterqr_server.hints.interface import Hints, HintsOutcome

_NEAREST_QUERIES = 3
_REGIONS_OF_ONE_QUERY = 5
_FUZZY = {"fuzziness": "AUTO", "prefix_length": 1, "max_expansions": 20}
# Up to two words, all must match; of more, a part: one common word alone would bring unrelated titles.
_MOST_OF_A_QUERY = "2<67%"
_MOST_OF_A_TITLE = "2<60%"


class HintsReplyError(ValueError):
    """A reply of the node is not what the search API returns."""


@dataclass(frozen=True, slots=True)
class HintIndexes:
    """Where to look. `catalog` may be empty."""

    hints: str
    catalog: str
    title_field: str
    region_field: str
    popularity_field: str


def hint_searches(indexes: HintIndexes, region: str, query: str, size: int, budget_ms: int) -> list[dict[str, Any]]:
    """Returns the `_msearch` body: the exact query, the nearest queries, and the catalog if there is one.

    An empty region looks in all regions.
    """
    in_region = [{"term": {"region": region}}] if region else []
    exact = {
        "size": _REGIONS_OF_ONE_QUERY,
        "query": {"bool": {"filter": [*in_region, {"term": {"query.keyword": query}}]}},
        "sort": [{"clicks": {"order": "desc", "unmapped_type": "long"}}],
        "_source": ["titles"],
    }
    match_query = {"query": query, "minimum_should_match": _MOST_OF_A_QUERY, **_FUZZY}
    nearest = {
        "size": _NEAREST_QUERIES,
        "query": {"bool": {"must": [{"match": {"query": match_query}}], "filter": in_region}},
        "_source": ["titles"],
    }
    searches = [(indexes.hints, exact), (indexes.hints, nearest)]
    if indexes.catalog:
        searches.append((indexes.catalog, _catalog_search(indexes, region, query, size)))
    return [part for index, body in searches for part in _msearch_item(index, body, budget_ms)]


def _catalog_search(indexes: HintIndexes, region: str, query: str, size: int) -> dict[str, Any]:
    match_title = {"query": query, "minimum_should_match": _MOST_OF_A_TITLE, **_FUZZY}
    return {
        "size": 2 * size,  # titles repeat
        "query": {
            "bool": {
                "must": [{"match": {indexes.title_field: match_title}}],
                "filter": [{"term": {indexes.region_field: region}}] if region else [],
            }
        },
        "sort": ["_score", {indexes.popularity_field: {"order": "desc", "unmapped_type": "long"}}],
        "_source": [indexes.title_field],
    }


def _msearch_item(index: str, body: dict[str, Any], budget_ms: int) -> tuple[dict[str, Any], dict[str, Any]]:
    header = {"index": index, "ignore_unavailable": True}
    return header, {**body, "track_total_hits": False, "timeout": f"{budget_ms}ms"}


def read_reply(reply: Any, title_field: str, size: int, min_clients: int) -> Hints:  # noqa: ANN401 - JSON
    """Returns at most `size` titles of the first search that found any.

    A clicked title counts only if at least `min_clients` different users clicked it: fewer might identify someone.

    Raises:
        HintsReplyError: no search succeeded, or the reply is malformed.
    """
    responses = reply.get("responses") if isinstance(reply, dict) else None
    if not isinstance(responses, list) or not responses:
        raise HintsReplyError("no responses")
    failed = [r for r in responses if not isinstance(r, dict) or "error" in r]
    if len(failed) == len(responses):
        raise HintsReplyError(f"every search failed: {_reason(failed[0])}")
    outcomes = (HintsOutcome.EXACT, HintsOutcome.NEAREST, HintsOutcome.CATALOG)
    for outcome, response in zip(outcomes, responses, strict=False):
        if response in failed:
            continue
        hits = list(_hits(response))
        titles = (
            _catalog_titles(hits, title_field)
            if outcome is HintsOutcome.CATALOG
            else _clicked_titles(hits, min_clients)
        )
        if titles:
            return Hints(tuple(titles[:size]), outcome)
    return Hints((), HintsOutcome.NONE)


def _reason(response: Any) -> str:  # noqa: ANN401 - JSON
    error = response.get("error") if isinstance(response, dict) else None
    return str(error.get("type", "unknown")) if isinstance(error, dict) else "unknown"


def _hits(response: dict[str, Any]) -> Iterator[tuple[float, dict[str, Any]]]:
    try:
        for hit in response["hits"]["hits"]:
            yield float(hit.get("_score") or 1.0), dict(hit["_source"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise HintsReplyError(f"malformed hits: {error!r}") from error


def _clicked_titles(hits: Sequence[tuple[float, dict[str, Any]]], min_clients: int) -> list[str]:
    """Titles by clicks; those of a less similar query count less."""
    if not hits:
        return []
    best = max(score for score, _ in hits)
    weights: defaultdict[str, float] = defaultdict(float)
    for score, source in hits:
        titles = source.get("titles")
        for entry in titles if isinstance(titles, list) else []:
            if not isinstance(entry, dict):
                continue
            title, clicks, clients = entry.get("title"), entry.get("clicks"), entry.get("clients")
            if not isinstance(title, str) or not title.strip():
                continue
            if isinstance(clicks, int | float) and isinstance(clients, int) and clients >= min_clients:
                weights[title] += clicks * score / best
    return sorted(weights, key=lambda title: (-weights[title], title))


def _catalog_titles(hits: Sequence[tuple[float, dict[str, Any]]], title_field: str) -> list[str]:
    titles = (source.get(title_field) for _, source in hits)
    return list(dict.fromkeys(title for title in titles if isinstance(title, str) and title.strip()))
