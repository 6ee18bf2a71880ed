"""Fused hits, their channels, and what the response says about the search."""

from __future__ import annotations

import re

import pytest
from support.dish_catalog import BOTH, NOODLES, ORIGINAL_ONLY, REWRITE_ONLY, REWRITES, SIZE, TYPO
from support.fusion_oracle import Window, channel_windows, fused_scores
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

BODY = {"query": match(TYPO), "size": 40}
TEXTS = REWRITES[TYPO]


def assert_tags_are_exact(response: Response, windows: dict[str, Window]) -> None:
    """Every hit carries exactly the channels whose windows it is in, with its rank and score there."""
    assert hits(response), "an empty page proves nothing"
    for hit in hits(response):
        tagged = {channel.get("text", channel["name"]): channel for channel in channels(hit)}
        assert len(tagged) == len(channels(hit)), "a channel is named twice"
        expected = {name for name, documents in windows.items() if hit["_id"] in documents}
        assert set(tagged) == expected, hit["_id"]
        for name, channel in tagged.items():
            retrieved = windows[name][hit["_id"]]
            assert channel["rank"] == retrieved.rank, (hit["_id"], name)
            assert channel["score"] == pytest.approx(retrieved.score, rel=1e-6), (hit["_id"], name)


def assert_order_is_fused(response: Response, expected: dict[str, float], start: int = 0) -> None:
    """The page is the fused order's; where documents tie, in either order."""
    page = hits(response)
    ranked = sorted(expected.values(), reverse=True)[start : start + len(page)]
    assert [expected[hit["_id"]] for hit in page] == pytest.approx(ranked)
    assert len(set(ids(response))) == len(page), "a document is on the page twice"


def test_fuses_original_and_rewrites(plugin: PluginSearch) -> None:
    response = plugin.search(BODY)
    assert outcome(response) == "fused"
    groups = {hit["_source"]["group"] for hit in hits(response)}
    assert groups == {ORIGINAL_ONLY, BOTH, REWRITE_ONLY, NOODLES}


def test_every_hit_carries_its_channels_with_rank_and_score(plugin: PluginSearch) -> None:
    windows = channel_windows(plugin, BODY, TYPO, TEXTS)
    assert_tags_are_exact(plugin.search(BODY), windows)


def test_a_document_that_both_retrieved_shows_both(plugin: PluginSearch) -> None:
    response = plugin.search(BODY)
    by_id = {hit["_id"]: channel_names(hit) for hit in hits(response)}
    assert sorted(by_id[f"{BOTH}-0"]) == sorted(["original", *TEXTS])
    assert by_id[f"{NOODLES}-0"] == ["thai noodles"]


def test_channels_are_retrieval_not_matching(plugin: PluginSearch) -> None:
    """`pad thai` matches documents that the original retrieved; beyond its window they are not its."""
    pipeline = plugin.create_pipeline({"window_size": 6})
    body = {**BODY, "size": 6}
    windows = channel_windows(plugin, body, TYPO, TEXTS, size=6)
    response = plugin.search(body, pipeline=pipeline)
    assert outcome(response) == "fused"
    assert facts(response)["window_size"] == 6
    assert_tags_are_exact(response, windows)
    assert_order_is_fused(response, fused_scores(windows))
    matched_everywhere = {f"{BOTH}-{number}" for number in range(12)}
    assert any(len(channel_names(hit)) < 3 for hit in hits(response) if hit["_id"] in matched_everywhere)


@pytest.mark.parametrize(
    ("original_weight", "rewrite_weight", "rank_constant"),
    [(1.0, 0.5, 60), (1.0, 1.0, 1), (0.2, 3.0, 10), (1.0, 0.0, 60)],
)
def test_order_is_weighted_reciprocal_rank_fusion(
    plugin: PluginSearch, original_weight: float, rewrite_weight: float, rank_constant: int
) -> None:
    weights = {"original_weight": original_weight, "rewrite_weight": rewrite_weight}
    pipeline = plugin.create_pipeline({}, {**weights, "rank_constant": rank_constant})
    windows = channel_windows(plugin, BODY, TYPO, TEXTS)
    expected = fused_scores(windows, **weights, rank_constant=rank_constant)
    response = plugin.search(BODY, pipeline=pipeline)
    assert outcome(response) == "fused"
    assert_order_is_fused(response, expected)
    scores = [hit["_score"] for hit in hits(response)]
    assert scores == pytest.approx([expected[hit["_id"]] for hit in hits(response)])
    assert response["hits"]["max_score"] == pytest.approx(scores[0])


def test_a_query_without_result_is_answered_by_its_rewrites(plugin: PluginSearch) -> None:
    body = {"query": match("tai nodels"), "size": 20}
    assert ids(plugin.plain(body)) == []
    response = plugin.search(body)
    assert outcome(response) == "fused"
    assert len(hits(response)) == 20
    assert {name for hit in hits(response) for name in channel_names(hit)} == {"thai noodles"}


def test_the_response_tells_how_the_query_was_understood(plugin: PluginSearch) -> None:
    told = facts(plugin.search(BODY))
    windows = channel_windows(plugin, BODY, TYPO, TEXTS)
    assert told["query"] == TYPO
    assert told["fix"] == TYPO
    assert told["intent"] == "dish"
    assert told["meaning"] == TYPO
    assert told["checkpoint_id"]
    assert told["hints"] == []
    assert told["window_size"] == 50
    assert [rewrite["text"] for rewrite in told["rewrites"]] == list(TEXTS)
    assert [rewrite["retrieved"] for rewrite in told["rewrites"]] == [len(windows[text]) for text in TEXTS]
    for rewrite in told["rewrites"]:
        assert re.fullmatch(r"[0-9a-f]{16}", rewrite["rewrite_id"])
        assert 0 < rewrite["confidence"] <= 1


def test_timings_are_told(plugin: PluginSearch) -> None:
    timings = facts(plugin.search(BODY))["timings"]
    for name in ("rewrite_ms", "windows_ms", "fetch_ms"):
        assert 0 <= timings[name] <= timings["total_ms"], name
    assert isinstance(timings["server"], dict)


def test_hits_and_response_name_the_same_rewrites(plugin: PluginSearch) -> None:
    response = plugin.search(BODY)
    known = {rewrite["rewrite_id"]: rewrite["text"] for rewrite in facts(response)["rewrites"]}
    for hit in hits(response):
        for channel in channels(hit):
            if channel["name"] == "rewrite":
                assert known[channel["rewrite_id"]] == channel["text"]
            else:
                assert channel["name"] == "original"
                assert "rewrite_id" not in channel


def test_max_rewrites_is_asked_for(plugin: PluginSearch) -> None:
    pipeline = plugin.create_pipeline({"max_rewrites": 1})
    response = plugin.search(BODY, pipeline=pipeline)
    assert [rewrite["text"] for rewrite in facts(response)["rewrites"]] == ["pad thai"]


def test_without_rewrites_the_plain_hits_come_tagged(plugin: PluginSearch) -> None:
    body = {"query": match("pizza"), "size": 5}
    response = plugin.search(body)
    plain = plugin.plain(body)
    assert outcome(response) == "no_rewrites"
    assert_plain_hits(response, plain)


def test_documents_of_no_channel_are_not_returned(plugin: PluginSearch) -> None:
    response = plugin.search({"query": match(TYPO), "size": 50})
    assert not [identifier for identifier in ids(response) if identifier.startswith("other")]
    assert len(hits(response)) < SIZE
