"""`_plugins/_iterqr/explain`: what each channel retrieved, and why a document ranks where it does."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from support.dish_catalog import REWRITES, TYPO
from support.plugin_search import Hit, PluginSearch, channels, hits, ids, match, refusal
from support.scripted_service import fails, scripted_service

pytestmark = pytest.mark.node

BODY = {"query": match(TYPO)}
TEXTS = REWRITES[TYPO]


def explain(plugin: PluginSearch, body: dict[str, Any], **params: str) -> dict[str, Any]:
    told: dict[str, Any] = plugin.client.transport.perform_request(
        "POST",
        f"/_plugins/_iterqr/explain/{plugin.index}",
        params={"search_pipeline": plugin.pipeline, **params},
        body=body,
    )
    return told


def matched_names(hit: Hit) -> list[str]:
    """original, or the text of a rewrite, for each clause of the expanded query that matches the hit."""
    return [channel.get("text", channel["channel"]) for channel in channels(hit)]


def test_windows_and_the_fused_list_are_told(plugin: PluginSearch) -> None:
    response = plugin.search(BODY)
    told = explain(plugin, BODY)
    assert told["outcome"] == "fused"
    assert told["search"]["query"] == TYPO
    assert [channel.get("text", channel["name"]) for channel in told["channels"]] == ["original", *TEXTS]
    for channel in told["channels"]:
        body = {"query": match(channel.get("text", TYPO)), "size": 50}
        plain = hits(plugin.plain(body))
        assert {(hit["_id"], round(hit["score"], 4)) for hit in channel["window"]} == {
            (hit["_id"], round(hit["_score"], 4)) for hit in plain
        }
        assert [hit["rank"] for hit in channel["window"]] == list(range(1, len(plain) + 1))
    page = [entry for entry in told["fused"] if entry["position"]]
    assert [entry["_id"] for entry in page] == ids(response)
    assert [entry["position"] for entry in page] == list(range(1, len(page) + 1))
    for entry, hit in zip(page, hits(response), strict=True):
        assert entry["score"] == pytest.approx(hit["_score"])
        assert sum(channel["contribution"] for channel in entry["channels"]) == pytest.approx(hit["_score"])
        assert [(each["name"], each["rank"]) for each in entry["channels"]] == [
            (each["name"], each["rank"]) for each in channels(hit)
        ]


def test_a_document_of_the_page_is_explained(plugin: PluginSearch) -> None:
    response = plugin.search(BODY)
    last = hits(response)[-1]
    document = explain(plugin, BODY, document=last["_id"])["document"]
    assert document["meaning"].startswith("It is on the page")
    assert document["position"] == document["rank"] == len(hits(response))
    assert [each["name"] for each in document["queries"]] == ["original"] + ["rewrite"] * len(TEXTS)
    assert sum(each["matches"] for each in document["queries"]) >= len(channels(last))


def test_a_document_that_is_not_there_is_explained(plugin: PluginSearch) -> None:
    plugin.client.index(index=plugin.index, id="unrelated", body={"title": "stapler"}, refresh=True)
    try:
        document = explain(plugin, BODY, document="unrelated")["document"]
        assert document["meaning"] == "No channel's query matches it."
        assert not any(each["matches"] for each in document["queries"])
        document = explain(plugin, BODY, document="no-such-document")["document"]
        assert "no such document" in document["meaning"]
    finally:
        plugin.client.delete(index=plugin.index, id="unrelated", refresh=True)


def test_what_shadow_kept_back_is_explained(plugin: PluginSearch) -> None:
    """Its response is there before its channel ends."""
    body = {**BODY, "ext": {"iterqr": {"mode": "shadow"}}}
    fused = plugin.search(BODY)
    told = explain(plugin, body)
    assert told["outcome"] == "shadow"
    assert [channel.get("text", channel["name"]) for channel in told["channels"]] == ["original", *TEXTS]
    kept_back = [entry for entry in told["fused"] if entry["position"]]
    assert [entry["_id"] for entry in kept_back] == ids(fused)
    assert [hit["object_id"] for hit in told["search"]["shadow"]] == ids(fused)
    document = explain(plugin, body, document=ids(fused)[-1])["document"]
    assert document["meaning"].startswith("It would be on the page")
    assert document["position"] == document["rank"] == len(ids(fused))
    assert [each["name"] for each in document["queries"]] == ["original"] + ["rewrite"] * len(TEXTS)


def test_a_shadow_that_comes_to_nothing_is_explained(plugin: PluginSearch) -> None:
    with scripted_service(fails(grpc.StatusCode.UNAVAILABLE)) as service, plugin.served_by(service.address):
        told = explain(plugin, {**BODY, "ext": {"iterqr": {"mode": "shadow"}}})
    assert told["outcome"] == "unavailable"
    assert "fused" not in told


def test_an_expanded_search_is_explained_by_its_clauses(plugin: PluginSearch) -> None:
    body = {**BODY, "size": 20, "sort": [{"price": "asc"}], "ext": {"iterqr": {"mode": "expand"}}}
    response = plugin.search(body)
    told = explain(plugin, body)
    assert told["outcome"] == "expanded"
    assert [clause.get("text", clause["name"]) for clause in told["channels"]] == ["original", *TEXTS]
    assert all(clause["weight"] > 0 for clause in told["channels"])
    for clause in told["channels"]:
        name = clause.get("text", clause["name"])
        matching = [hit["_id"] for hit in hits(response) if name in matched_names(hit)]
        assert [each["_id"] for each in clause["matches_on_page"]] == matching
        assert [each["position"] for each in clause["matches_on_page"]] == [
            ids(response).index(identifier) + 1 for identifier in matching
        ]
    by_rewrite_alone = next(hit for hit in hits(response) if "original" not in matched_names(hit))
    document = explain(plugin, body, document=by_rewrite_alone["_id"])["document"]
    assert document["meaning"] == "It is on the page: the expanded query matches it."
    assert document["position"] == ids(response).index(by_rewrite_alone["_id"]) + 1
    matching = [each.get("text", each["name"]) for each in document["queries"] if each["matches"]]
    assert matching == matched_names(by_rewrite_alone)
    assert all(each["score"] > 0 for each in document["queries"] if each["matches"])


def test_a_document_that_an_expanded_search_does_not_show_is_explained(plugin: PluginSearch) -> None:
    body = {**BODY, "size": 1, "sort": [{"price": "asc"}], "ext": {"iterqr": {"mode": "expand"}}}
    plugin.client.index(index=plugin.index, id="unrelated", body={"title": "stapler"}, refresh=True)
    try:
        document = explain(plugin, body, document="unrelated")["document"]
        assert document["meaning"] == "No clause of the expanded query matches it."
        assert [each["matches"] for each in document["queries"]] == [False] * (1 + len(TEXTS))
        shown = ids(plugin.search({**body, "size": 20}))
        document = explain(plugin, body, document=shown[-1])["document"]
        assert document["meaning"] == "The expanded query matches it, but it is not on the page."
        assert document["position"] is None
    finally:
        plugin.client.delete(index=plugin.index, id="unrelated", refresh=True)


def test_why_nothing_was_fused_is_told_in_words(plugin: PluginSearch) -> None:
    told = explain(plugin, {**BODY, "size": 0})
    assert told["outcome"] == "skipped_size_zero"
    assert told["meaning"] == "Passed through: it asks for no hits."
    assert "fused" not in told
    told = explain(plugin, BODY, search_pipeline="_none")
    assert told == {"outcome": "", "meaning": "No [rewrite_channel] answered it."}


def test_what_cannot_be_searched_is_refused_as_in_a_search(plugin: PluginSearch) -> None:
    assert "no_such_query" in str(refusal(lambda: explain(plugin, {"query": {"no_such_query": {}}})))
    assert "scroll" in str(refusal(lambda: explain(plugin, BODY, scroll="1m")))


def test_the_stats_count_an_explained_search_once(plugin: PluginSearch) -> None:
    before = plugin.counted("fused")
    explain(plugin, BODY)
    assert plugin.counted("fused") == before + 1
