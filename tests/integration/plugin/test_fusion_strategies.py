"""How windows become one list, and that pages cut from it fit together."""

from __future__ import annotations

from typing import Any

import pytest
from support.dish_catalog import REWRITES, TYPO
from support.fusion_oracle import channel_windows
from support.plugin_search import (
    PluginSearch,
    Response,
    assert_plain_hits,
    channel_names,
    channels,
    facts,
    hits,
    ids,
    match,
    outcome,
)

pytestmark = pytest.mark.node

STRATEGIES = ["rrf", "append", "interleave"]
BODY = {"query": match(TYPO), "size": 40}
ORIGINALS = 24
"""Documents that the original retrieves."""


def searched(plugin: PluginSearch, strategy: str, body: dict[str, Any] | None = None, **ext: str) -> Response:
    pipeline = plugin.create_pipeline({}, {"append_below": ORIGINALS + 1})
    return plugin.search({**(body or BODY), "ext": {"iterqr": {"fusion": strategy, **ext}}}, pipeline=pipeline)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_contributions_add_up_to_the_score(plugin: PluginSearch, strategy: str) -> None:
    response = searched(plugin, strategy)
    assert outcome(response) == "fused"
    assert facts(response)["fusion"]["strategy"] == strategy
    before = float("inf")
    for hit in hits(response):
        total = sum(channel["contribution"] for channel in channels(hit))
        assert total == pytest.approx(hit["_score"], rel=1e-6)
        assert hit["_score"] <= before
        before = hit["_score"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_channels_are_the_same_whatever_the_strategy(plugin: PluginSearch, strategy: str) -> None:
    windows = channel_windows(plugin, BODY, TYPO, REWRITES[TYPO])
    for hit in hits(searched(plugin, strategy)):
        assert set(channel_names(hit)) == {name for name, found in windows.items() if hit["_id"] in found}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_pages_fit_together(plugin: PluginSearch, strategy: str) -> None:
    whole = searched(plugin, strategy)
    first = searched(plugin, strategy, {**BODY, "size": 7})
    seen, pages = list(hits(first)), 1
    token = facts(first)["page_token"]
    while len(seen) < 35:
        # The token decides, whatever the request says now.
        page = searched(plugin, "rrf", {**BODY, "size": 7, "from": 7 * pages}, page_token=token)
        assert facts(page)["fusion"] == facts(first)["fusion"]
        assert facts(page)["source"] == "page_token"
        seen += hits(page)
        pages += 1
    if strategy == "interleave":
        # Another search has another coin; its documents are the same.
        assert len({hit["_id"] for hit in seen}) == len(seen)
        assert all(channels(hit)[0]["team"] in ("original", "rewrites") for hit in seen)
    else:
        assert seen == hits(whole)[:35]


def test_append_keeps_the_originals_page_and_fills_it_up(plugin: PluginSearch) -> None:
    response = searched(plugin, "append")
    plain = ids(plugin.plain(BODY))
    assert len(plain) == ORIGINALS
    assert ids(response)[:ORIGINALS] == plain
    added = hits(response)[ORIGINALS:]
    assert added
    assert all("original" not in channel_names(hit) for hit in added)


def test_append_adds_nothing_to_enough(plugin: PluginSearch) -> None:
    pipeline = plugin.create_pipeline({}, {"fusion": "append", "append_below": ORIGINALS})
    response = plugin.search({**BODY, "size": 10}, pipeline=pipeline)
    plain = plugin.plain({**BODY, "size": 10})
    assert outcome(response) == "original_suffices"
    assert_plain_hits(response, plain)
    ext = {"iterqr": {"page_token": facts(response)["page_token"]}}
    later = plugin.search({**BODY, "size": 10, "from": 10, "ext": ext}, pipeline=pipeline)
    assert ids(later) == ids(plugin.plain({**BODY, "size": 10, "from": 10}))


def test_interleaving_takes_turns(plugin: PluginSearch) -> None:
    lead = 0
    for hit in hits(searched(plugin, "interleave", {**BODY, "size": 20})):
        (team,) = {channel["team"] for channel in channels(hit)}
        lead += 1 if team == "original" else -1
        assert abs(lead) <= 1
        for channel in channels(hit):
            assert (channel["contribution"] > 0) == ((channel["name"] == "original") == (team == "original"))
