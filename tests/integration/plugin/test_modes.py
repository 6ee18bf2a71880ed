"""Modes and options, of the pipeline and of the request."""

from __future__ import annotations

import threading
from typing import Any

import grpc
import pytest
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from support.dish_catalog import TYPO
from support.plugin_search import PluginSearch, assert_plain_hits, eventually, facts, hits, match, outcome
from support.scripted_service import answers, fails, reply, scripted_service

pytestmark = pytest.mark.node

BODY = {"query": match(TYPO), "size": 20}


def with_options(**options: object) -> dict[str, Any]:
    return {**BODY, "ext": {"iterqr": options}}


def test_shadow_answers_plainly_and_asks_for_rewrites(plugin: PluginSearch) -> None:
    pipeline = plugin.create_pipeline({"mode": "shadow"})
    counted = plugin.counted("shadow")
    with scripted_service(answers("pad thai", "thai noodles")) as service, plugin.served_by(service.address):
        response = plugin.search(BODY, pipeline=pipeline)
        assert outcome(response) == "shadow"
        assert_plain_hits(response, plugin.plain(BODY))
        eventually(lambda: plugin.counted("shadow") == counted + 1)
        assert len(service.calls) == 1


def test_shadow_never_waits_for_rewrites(plugin: PluginSearch) -> None:
    """The server answers only after the client has its response."""
    answered = threading.Event()
    data = reply("pad thai").SerializeToString()

    def after_the_response(_request: pb.RewriteQueryRequest) -> bytes:
        assert answered.wait(20)
        return data

    counted = plugin.counted("shadow")
    with scripted_service(after_the_response) as service, plugin.served_by(service.address):
        response = plugin.search(with_options(mode="shadow", budget_ms=30_000))
        assert facts(response)["timings"]["added_ms"] < 1_000
        answered.set()
        eventually(lambda: plugin.counted("shadow") == counted + 1)
    assert_plain_hits(response, plugin.plain(BODY))


def test_a_shadowed_search_is_counted_once_by_what_went_wrong(plugin: PluginSearch) -> None:
    counted = plugin.counted("unavailable")
    with scripted_service(fails(grpc.StatusCode.UNAVAILABLE)) as service, plugin.served_by(service.address):
        response = plugin.search(with_options(mode="shadow"))
        assert_plain_hits(response, plugin.plain(BODY))
        eventually(lambda: plugin.counted("unavailable") == counted + 1)
        assert outcome(plugin.search({**with_options(mode="shadow"), "sort": ["price"]})) == "skipped_sort"
    assert plugin.counted("unavailable") == counted + 1


def test_shadow_of_expand_asks_for_rewrites_and_searches_nothing(plugin: PluginSearch) -> None:
    counted = plugin.counted("shadow")
    body = {**with_options(mode="shadow_expand"), "sort": [{"price": "asc"}, "title.keyword"]}
    with scripted_service(answers("pad thai")) as service, plugin.served_by(service.address):
        response = plugin.search(body)
        assert (outcome(response), facts(response)["mode"]) == ("shadow", "shadow_expand")
        assert hits(response) == hits(plugin.plain(body))
        eventually(lambda: plugin.counted("shadow") == counted + 1)
        assert len(service.calls) == 1
        unwanted = plugin.counted("original_suffices")
        careful = {"policy_version": 1, "policy_id": "careful", "min_confidence": 1.0}
        plugin.search({**body, "ext": {"iterqr": {"mode": "shadow_expand", "policy": careful}}})
        eventually(lambda: plugin.counted("original_suffices") == unwanted + 1)


@pytest.mark.parametrize("options", [{"enabled": False}, {"mode": "off"}, {"enabled": False, "mode": "fuse"}])
def test_switched_off_asks_nobody(plugin: PluginSearch, options: dict[str, Any]) -> None:
    with scripted_service(answers("pad thai")) as service, plugin.served_by(service.address):
        response = plugin.search(with_options(**options))
        assert service.calls == []
    assert outcome(response) == "disabled"
    assert facts(response)["mode"] == "off"
    assert_plain_hits(response, plugin.plain(BODY))


def test_switched_off_tags_nothing_that_is_sorted_otherwise(plugin: PluginSearch) -> None:
    body = {**with_options(mode="off"), "sort": [{"price": "desc"}, "_score"], "track_scores": True}
    response = plugin.search(body)
    assert outcome(response) == "disabled"
    assert hits(response) == hits(plugin.plain(body))


def test_a_pipeline_that_is_off_can_be_switched_on_by_the_request(plugin: PluginSearch) -> None:
    pipeline = plugin.create_pipeline({"mode": "off"})
    assert outcome(plugin.search(BODY, pipeline=pipeline)) == "disabled"
    assert outcome(plugin.search(with_options(mode="fuse"), pipeline=pipeline)) == "fused"


def test_a_request_sets_its_own_window_and_rewrites(plugin: PluginSearch) -> None:
    response = plugin.search({**with_options(window_size=6, max_rewrites=1), "size": 6})
    told = facts(response)
    assert outcome(response) == "fused"
    assert told["window_size"] == 6
    assert [rewrite["retrieved"] for rewrite in told["rewrites"]] == [6]


def test_a_request_sets_its_own_budget(plugin: PluginSearch) -> None:
    hold = threading.Event()

    def never(_request: pb.RewriteQueryRequest) -> bytes:
        hold.wait(20)
        return b""

    with scripted_service(never) as service, plugin.served_by(service.address):
        response = plugin.search(with_options(budget_ms=50))
        hold.set()
    assert outcome(response) == "timeout"
    assert 40 <= facts(response)["timings"]["total_ms"] < 1_000
    assert_plain_hits(response, plugin.plain(BODY))


def test_facts_name_mode_source_and_weights(plugin: PluginSearch) -> None:
    with scripted_service(answers("pad thai")) as service, plugin.served_by(service.address):
        told = facts(plugin.search(BODY))
    assert told["mode"] == "fuse"
    assert told["source"] == "generated"
    assert told["partial"] is False
    assert told["fusion"]["strategy"] == "rrf"
    assert told["fusion"]["original_weight"] == 1.0
    assert told["policy"]["source"] == "pipeline"
    assert set(told["rewrites"][0]) == {"rewrite_id", "text", "confidence", "retrieved", "weight", "overlap"}
