"""Several servers, breakers and the node's cache: what goes wrong with one server does not reach the searches."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from support.certificates import make_identity
from support.cluster_settings import cluster_settings
from support.dish_catalog import REWRITES, TYPO
from support.plugin_search import (
    ENDPOINT_SETTING,
    STATS,
    PluginSearch,
    assert_plain_hits,
    eventually,
    facts,
    ids,
    match,
    outcome,
)
from support.rewrite_server import RewriteServerProcess, rewrite_server_process, rewrites_script, running_server
from support.scripted_service import answers, reply, scripted_service

pytestmark = pytest.mark.node

BODY = {"query": match(TYPO), "size": 20}
CACHE = "plugins.iterqr.client.cache."
BREAKER = "plugins.iterqr.client.breaker."


@pytest.fixture
def hasty(plugin: PluginSearch) -> PluginSearch:
    """The plugin with a budget that a waiting test can afford."""
    return PluginSearch(plugin.node, plugin.index, plugin.create_pipeline({"budget_ms": 300}))


@contextmanager
def two_servers(plugin: PluginSearch) -> Iterator[tuple[RewriteServerProcess, RewriteServerProcess]]:
    with (
        rewrite_server_process(REWRITES) as one,
        rewrite_server_process(REWRITES) as two,
        plugin.served_by(f"{one.address},{two.address}"),
    ):
        eventually(lambda: outcome(plugin.search(BODY)) == "fused")
        yield one, two


def client_stats(plugin: PluginSearch) -> dict[str, Any]:
    section: dict[str, Any] = plugin.client.transport.perform_request("GET", STATS)["client"]
    return section


def breaker_is(plugin: PluginSearch, address: str, state: str) -> bool:
    states: dict[str, int] = client_stats(plugin)["servers"][address]["breaker"]
    return states == {state: 1}


@contextmanager
def caching(plugin: PluginSearch, **settings: str) -> Iterator[None]:
    with cluster_settings(
        plugin.client, {f"{CACHE}{name}": value for name, value in {"enabled": "true", **settings}.items()}
    ):
        yield


def test_while_one_server_is_away_the_other_serves(plugin: PluginSearch) -> None:
    with two_servers(plugin) as (one, two):
        one.kill()
        assert [outcome(plugin.search(BODY)) for _ in range(20)] == ["fused"] * 20
        one.start()
        two.stop()
        eventually(lambda: outcome(plugin.search(BODY)) == "fused")
        assert [outcome(plugin.search(BODY)) for _ in range(20)] == ["fused"] * 20


def test_a_frozen_server_is_left_alone_until_it_thaws(hasty: PluginSearch) -> None:
    quick = {f"{BREAKER}minimum_calls": 3, f"{BREAKER}open_time": "500ms", f"{BREAKER}probes": 1}
    with cluster_settings(hasty.client, quick), two_servers(hasty) as (one, two):
        one.freeze()
        outcomes = [outcome(hasty.search(BODY)) for _ in range(60)]
        assert set(outcomes) == {"fused", "timeout"}
        assert outcomes[20:].count("timeout") <= 5, "only probes still find it frozen"
        assert not breaker_is(hasty, one.address, "closed")
        one.thaw()

        def is_asked_again() -> bool:
            hasty.search(BODY)
            return breaker_is(hasty, one.address, "closed")

        eventually(is_asked_again)
        two.kill()
        eventually(lambda: outcome(hasty.search(BODY)) == "fused")


def test_a_server_that_breaks_the_contract_is_left_alone(plugin: PluginSearch) -> None:
    with (
        rewrite_server_process(REWRITES) as well,
        scripted_service(lambda _request: b"\xff\xff\xff\xff") as broken,
        plugin.served_by(f"{broken.address},{well.address}"),
    ):
        outcomes = [outcome(plugin.search(BODY)) for _ in range(60)]
    assert set(outcomes) == {"fused", "bad_reply"}
    assert outcomes[30:].count("bad_reply") <= 5


def test_no_more_calls_wait_than_the_limit(plugin: PluginSearch) -> None:
    over = threading.Event()

    def late(_request: pb.RewriteQueryRequest) -> bytes:
        over.wait(timeout=30)
        return reply("pad thai").SerializeToString()

    with (
        cluster_settings(plugin.client, {"plugins.iterqr.client.max_in_flight": 2}),
        scripted_service(late) as service,
        plugin.served_by(service.address),
        ThreadPoolExecutor(max_workers=2) as pool,
    ):
        waiting = [pool.submit(plugin.search, BODY) for _ in range(2)]
        try:
            eventually(lambda: len(service.calls) == 2)
            response = plugin.search(BODY)
        finally:
            over.set()
        assert outcome(response) == "overloaded"
        assert_plain_hits(response, plugin.plain(BODY))
        assert [outcome(search.result()) for search in waiting] == ["fused"] * 2


def test_settings_change_while_searches_run(plugin: PluginSearch) -> None:
    over = threading.Event()
    outcomes: list[str] = []

    def searching() -> None:
        while not over.is_set():
            outcomes.append(outcome(plugin.search(BODY)))

    with two_servers(plugin) as (one, two), ThreadPoolExecutor(max_workers=4) as pool:
        before = plugin.search(BODY)
        searches = [pool.submit(searching) for _ in range(4)]
        changes: list[Mapping[str, Any]] = [
            {ENDPOINT_SETTING: one.address},
            {ENDPOINT_SETTING: two.address},
            {f"{CACHE}enabled": "true"},
            {f"{CACHE}size": "64kb", f"{CACHE}ttl": "1ms"},
            {ENDPOINT_SETTING: f"{two.address},{one.address}"},
            {f"{BREAKER}window": "1s", f"{BREAKER}minimum_calls": 1, f"{BREAKER}failure_share": 0.9},
            {"plugins.iterqr.client.max_in_flight": 100},
            {f"{CACHE}enabled": "false"},
        ]
        try:
            for change in changes * 3:
                seen = len(outcomes)
                plugin.client.cluster.put_settings(body={"transient": dict(change)})
                eventually(lambda: len(outcomes) >= seen + 4)  # noqa: B023  (called at once)
        finally:
            over.set()
            plugin.client.cluster.put_settings(
                body={"transient": {name: None for change in changes for name in change}}
            )
        for search in searches:
            search.result()
        assert set(outcomes) == {"fused"}
        assert ids(plugin.search(BODY)) == ids(before)


def test_a_reply_is_kept_and_said_to_be(plugin: PluginSearch) -> None:
    with (
        scripted_service(answers("pad thai")) as service,
        plugin.served_by(service.address),
        caching(plugin),
    ):
        before = client_stats(plugin)["cache"]
        first = plugin.search(BODY)
        again = plugin.search({**BODY, "query": match(f"  {TYPO.upper()} ")})
        after = client_stats(plugin)["cache"]
        assert {name: after[name] - before[name] for name in ("hits", "misses")} == {"hits": 1, "misses": 1}
        assert (facts(first)["source"], facts(again)["source"]) == ("generated", "node_cache")
        assert "server" in facts(first)["timings"]
        assert "server" not in facts(again)["timings"]
        assert facts(again)["rewrites"] == facts(first)["rewrites"]
        assert ids(again) == ids(first)
        assert len(service.calls) == 1
        plugin.search({**BODY, "ext": {"iterqr": {"region": "north"}}})
        assert len(service.calls) == 2


def test_that_there_are_no_rewrites_is_kept_for_less_long(plugin: PluginSearch) -> None:
    with (
        scripted_service(answers()) as service,
        plugin.served_by(service.address),
        caching(plugin, negative_ttl="1s"),
    ):
        responses = [plugin.search(BODY) for _ in range(2)]
        assert [outcome(response) for response in responses] == ["no_rewrites"] * 2
        assert [facts(response)["source"] for response in responses] == ["generated", "node_cache"]
        eventually(lambda: facts(plugin.search(BODY))["source"] == "generated")


def test_equal_searches_at_the_same_time_make_one_call(plugin: PluginSearch) -> None:
    over = threading.Event()

    def late(_request: pb.RewriteQueryRequest) -> bytes:
        over.wait(timeout=30)
        return reply("pad thai").SerializeToString()

    with (
        scripted_service(late) as service,
        plugin.served_by(service.address),
        caching(plugin),
        ThreadPoolExecutor(max_workers=20) as pool,
    ):
        searches = [pool.submit(plugin.search, BODY) for _ in range(20)]
        try:
            eventually(lambda: len(service.calls) == 1)
        finally:
            over.set()
        responses = [search.result() for search in searches]
        assert {outcome(response) for response in responses} == {"fused"}
        assert {facts(response)["source"] for response in responses} <= {"generated", "node_coalesced", "node_cache"}
        assert len(service.calls) == 1


def test_other_servers_begin_with_an_empty_cache(plugin: PluginSearch) -> None:
    with caching(plugin), scripted_service(answers("pad thai")) as one, scripted_service(answers("soup")) as two:
        for service in (one, two):
            with plugin.served_by(service.address):
                assert facts(plugin.search(BODY))["source"] == "generated"
                assert facts(plugin.search(BODY))["source"] == "node_cache"


def test_a_server_with_tls_is_not_there_for_a_node_without(plugin: PluginSearch, tmp_path: Path) -> None:
    identity = make_identity(tmp_path, "rewriter")
    tls = {"tls_certificate": str(identity.certificate), "tls_key": str(identity.key)}
    plain = plugin.plain(BODY)
    with (
        running_server(script=rewrites_script(REWRITES), overrides={"grpc": tls}) as server,
        plugin.served_by(server.address),
    ):
        for _ in range(12):
            response = plugin.search(BODY)
            assert outcome(response) in ("unavailable", "breaker_open")
            assert_plain_hits(response, plain)
