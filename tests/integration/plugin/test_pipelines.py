"""Our processors among others: the rewrites' searches see what all request processors did, and run no pipeline."""

from __future__ import annotations

from typing import Any

import pytest
from support.dish_catalog import TYPO, index_dishes
from support.plugin_search import PluginSearch, channel_names, hits, match, outcome
from support.scripted_service import answers, scripted_service

pytestmark = pytest.mark.node

BODY = {"query": match(TYPO), "size": 40}
SOUTH = {"filter_query": {"query": {"term": {"region": "south"}}}}


def from_rewrites_only(response: dict[str, Any]) -> list[dict[str, Any]]:
    return [hit for hit in hits(response) if "original" not in channel_names(hit)]


@pytest.mark.parametrize("place", ["before", "after"])
def test_other_request_processors_hold_for_rewrites(plugin: PluginSearch, place: str) -> None:
    pipeline = plugin.create_pipeline(
        before=[SOUTH] if place == "before" else [], after=[SOUTH] if place == "after" else []
    )
    response = plugin.search(BODY, pipeline=pipeline)
    assert outcome(response) == "fused"
    assert from_rewrites_only(response)
    assert {hit["_source"]["region"] for hit in hits(response)} == {"south"}


def test_a_script_that_changes_the_search_after_us_is_respected(plugin: PluginSearch) -> None:
    smaller = {"script": {"lang": "painless", "source": "ctx._source['size'] = 3"}}
    response = plugin.search(BODY, pipeline=plugin.create_pipeline(after=[smaller]))
    assert outcome(response) == "fused"
    assert len(hits(response)) == 3


def test_response_processors_after_us_see_the_fused_hits(plugin: PluginSearch) -> None:
    name = plugin.node.unique_name("pipeline")
    rename = {"rename_field": {"field": "title", "target_field": "name"}}
    body = {
        "request_processors": [{"query_rewrite": {"budget_ms": 3000}}],
        "response_processors": [{"rewrite_channel": {}}, rename],
    }
    plugin.client.transport.perform_request("PUT", f"/_search/pipeline/{name}", body=body)
    response = plugin.search(BODY, pipeline=name)
    assert outcome(response) == "fused"
    assert from_rewrites_only(response)
    assert all("name" in hit["_source"] and "title" not in hit["_source"] for hit in hits(response))


def test_the_index_default_pipeline_runs_once_a_search(plugin: PluginSearch) -> None:
    index = plugin.node.unique_name("default")
    index_dishes(plugin.client, index, settings={"search.default_pipeline": plugin.pipeline})
    with scripted_service(answers("pad thai", "thai noodles")) as service, plugin.served_by(service.address):
        by_default = plugin.client.search(index=index, body=BODY)
        assert outcome(by_default) == "fused"
        assert len(service.calls) == 1
        by_name = plugin.search(BODY, index=index)
        assert outcome(by_name) == "fused"
        assert len(service.calls) == 2
        switched_off = plugin.plain(BODY, index=index)
        assert "ext" not in switched_off
        assert len(service.calls) == 2
    assert hits(by_default) == hits(by_name)
    assert from_rewrites_only(by_default)


def test_pipeline_in_the_body(plugin: PluginSearch) -> None:
    response = plugin.client.search(index=plugin.index, body={**BODY, "search_pipeline": plugin.pipeline})
    assert outcome(response) == "fused"
    assert hits(response) == hits(plugin.search(BODY))


def test_pipeline_in_the_body_with_its_own_definition(plugin: PluginSearch) -> None:
    """An ad hoc pipeline, defined in the request itself."""
    adhoc = {
        "request_processors": [{"query_rewrite": {"budget_ms": 3000}}],
        "response_processors": [{"rewrite_channel": {}}],
    }
    response = plugin.client.search(index=plugin.index, body={**BODY, "search_pipeline": adhoc})
    assert outcome(response) == "fused"


def test_multi_search(plugin: PluginSearch) -> None:
    other = {"query": match("tai nodels"), "size": 5, "search_pipeline": plugin.pipeline}
    lines: list[dict[str, Any]] = [
        {"index": plugin.index},
        {**BODY, "search_pipeline": plugin.pipeline},
        {"index": plugin.index},
        other,
        {"index": plugin.index},
        BODY,
    ]
    first, second, third = plugin.client.msearch(body=lines)["responses"]
    assert hits(first) == hits(plugin.search(BODY))
    assert outcome(second) == "fused"
    assert {name for hit in hits(second) for name in channel_names(hit)} == {"thai noodles"}
    assert "ext" not in third
    assert hits(third) == hits(plugin.plain(BODY))


def test_multi_search_by_the_index_default(plugin: PluginSearch) -> None:
    index = plugin.node.unique_name("default")
    index_dishes(plugin.client, index, settings={"search.default_pipeline": plugin.pipeline})
    with scripted_service(answers("pad thai")) as service, plugin.served_by(service.address):
        responses = plugin.client.msearch(body=[{"index": index}, BODY, {"index": index}, BODY])["responses"]
        assert len(service.calls) == 2
    assert [outcome(response) for response in responses] == ["fused", "fused"]
