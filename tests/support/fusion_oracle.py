"""Weighted reciprocal rank fusion, computed here from windows searched one by one, to hold the plugin's against."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from support.plugin_search import Body, PluginSearch, hits


@dataclass(frozen=True, slots=True)
class Retrieved:
    """A document in a channel's window; `rank` counts from 1."""

    rank: int
    score: float


Window = Mapping[str, Retrieved]


def window(plugin: PluginSearch, body: Body, *, size: int, index: str | None = None) -> Window:
    """What a query retrieves by itself: the first `size` documents."""
    response = plugin.plain({**body, "size": size, "from": 0, "_source": False}, index=index)
    return {hit["_id"]: Retrieved(rank, hit["_score"]) for rank, hit in enumerate(hits(response), 1)}


def with_text(body: Body, old: str, new: str) -> dict[str, Any]:
    """The body with one text put in place of another, wherever it stands."""

    def replaced(value: Any) -> Any:  # noqa: ANN401 - any JSON
        if isinstance(value, dict):
            return {key: replaced(each) for key, each in value.items()}
        if isinstance(value, list):
            return [replaced(each) for each in value]
        return new if value == old else value

    changed: dict[str, Any] = replaced(copy.deepcopy(dict(body)))
    return changed


def channel_windows(
    plugin: PluginSearch, body: Body, text: str, rewrites: Sequence[str], *, size: int = 50, index: str | None = None
) -> dict[str, Window]:
    """The windows of the original and of each rewrite, by "original" or the rewrite's text."""
    windows = {"original": window(plugin, body, size=size, index=index)}
    for rewrite in rewrites:
        windows[rewrite] = window(plugin, with_text(body, text, rewrite), size=size, index=index)
    return windows


def fused_scores(
    windows: Mapping[str, Window],
    *,
    original_weight: float = 1.0,
    rewrite_weight: float = 0.5,
    rank_constant: int = 60,
) -> dict[str, float]:
    """Each document's sum of weight / (rank_constant + rank) over the windows it is in."""
    scores: dict[str, float] = {}
    for name, documents in windows.items():
        weight = original_weight if name == "original" else rewrite_weight
        for identifier, retrieved in documents.items():
            scores[identifier] = scores.get(identifier, 0.0) + weight / (rank_constant + retrieved.rank)
    return scores
