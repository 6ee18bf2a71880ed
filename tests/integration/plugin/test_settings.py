"""What is wrong in a pipeline, a cluster setting or a request is refused by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from support.dish_catalog import TYPO
from support.plugin_search import (
    ENDPOINT_SETTING,
    PluginSearch,
    current_endpoint,
    match,
    outcome,
    refusal,
    set_endpoint,
)

pytestmark = pytest.mark.node

WRONG_REQUEST_SETTINGS = [
    ("budget_ms", 0),
    ("budget_ms", -5),
    ("budget_ms", "soon"),
    ("budget_ms", 10_000_000),
    ("window_size", 0),
    ("window_size", 1_000_000),
    ("max_rewrites", 0),
    ("max_rewrites", 9),
    ("max_rewrites", 1.5),
    ("region", "r" * 65),
    ("tenant", "t" * 65),
    ("budget", 300),
    ("mode", "on"),
    ("mode", 1),
    ("policy", "strict"),
    ("policy", {"policy_version": 2, "policy_id": "x"}),
    ("policy", {"policy_version": 1, "policy_id": "x", "confidence_factor": [[0, 1], [1, 0]]}),
]
WRONG_RESPONSE_SETTINGS = [
    ("original_weight", -1),
    ("original_weight", "heavy"),
    ("rewrite_weight", -0.1),
    ("rewrite_weight", 1e300),
    ("rank_constant", 0),
    ("rank_constant", -60),
    ("rank_constnat", 60),
    ("fusion", "sum"),
    ("append_below", 0),
    ("append_below", 1_001),
]


def told(error: Mapping[str, Any]) -> str:
    """What the refusal says, in its reason or in that of its cause."""
    assert error, "it was not refused"
    causes = [error, error.get("caused_by", {}), *error.get("root_cause", [])]
    return " ".join(str(cause.get("reason")) for cause in causes)


@pytest.mark.parametrize(("name", "value"), WRONG_REQUEST_SETTINGS)
def test_a_wrong_setting_of_query_rewrite_is_refused(plugin: PluginSearch, name: str, value: object) -> None:
    error = refusal(lambda: plugin.create_pipeline({name: value}))
    assert name in told(error)


@pytest.mark.parametrize(("name", "value"), WRONG_RESPONSE_SETTINGS)
def test_a_wrong_setting_of_rewrite_channel_is_refused(plugin: PluginSearch, name: str, value: object) -> None:
    assert name in told(refusal(lambda: plugin.create_pipeline({}, {name: value})))


def test_all_settings_at_their_limits_are_taken(plugin: PluginSearch) -> None:
    limits = {"budget_ms": 3000, "window_size": 50, "max_rewrites": 8, "region": "r" * 64, "tenant": "t" * 64}
    pipeline = plugin.create_pipeline(limits, {"original_weight": 0, "rewrite_weight": 0, "rank_constant": 1})
    assert outcome(plugin.search({"query": match(TYPO)}, pipeline=pipeline)) == "fused"


def test_documented_defaults_work(plugin: PluginSearch) -> None:
    name = plugin.node.unique_name("defaults")
    body: dict[str, Any] = {
        "request_processors": [{"query_rewrite": {}}],
        "response_processors": [{"rewrite_channel": {}}],
    }
    plugin.client.transport.perform_request("PUT", f"/_search/pipeline/{name}", body=body)
    assert outcome(plugin.search({"query": match(TYPO)}, pipeline=name)) in ("fused", "original_suffices", "timeout")


@pytest.mark.parametrize("endpoint", ["nowhere", "host:0", "host:65536", ":50051", "http://host:1", "a b:1", "a:1,a:1"])
def test_a_wrong_endpoint_is_refused(plugin: PluginSearch, endpoint: str) -> None:
    before = current_endpoint(plugin.client)
    assert ENDPOINT_SETTING in told(refusal(lambda: set_endpoint(plugin.client, endpoint)))
    assert current_endpoint(plugin.client) == before


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ({"regoin": "north"}, "regoin"),
        ({"region": 7}, "region"),
        ({"query": ["a"]}, "query"),
        ({"page_token": {"a": 1}}, "page_token"),
        ({"mode": "on"}, "mode"),
        ({"mode": 1}, "mode"),
        ({"enabled": "yes"}, "enabled"),
        ({"fusion": "sum"}, "fusion"),
        ({"window_size": 0}, "window_size"),
        ({"window_size": 1001}, "window_size"),
        ({"budget_ms": 5}, "budget_ms"),
        ({"budget_ms": "soon"}, "budget_ms"),
        ({"max_rewrites": 9}, "max_rewrites"),
        ("north", "iterqr"),
        (["north"], "iterqr"),
    ],
)
def test_a_wrong_section_of_a_request_is_refused(plugin: PluginSearch, section: object, named: str) -> None:
    assert named in told(refusal(lambda: plugin.search({"query": match(TYPO), "ext": {"iterqr": section}})))
