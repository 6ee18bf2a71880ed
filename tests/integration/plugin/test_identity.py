"""Who searched: ext.ubi is read, answered with a query id, and refused where it is malformed."""

from __future__ import annotations

import json
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from iterqr_dev_node import NodeInstance, NodeOptions, build_plugin
from opensearchpy import OpenSearch
from support.cluster_settings import cluster_settings
from support.dish_catalog import TYPO, index_dishes
from support.opensearch_node import DEFAULT_VERSION, KNN_VERSION, TEST_SETTINGS, RunningNode
from support.plugin_search import PluginSearch, channel_names, facts, hits, match, outcome, refusal, set_endpoint
from support.rewrite_server import RunningServer
from support.ubi_stub_plugin import build_ubi_stub

pytestmark = pytest.mark.node

BODY = {"query": match(TYPO)}


def with_ubi(**section: object) -> dict[str, Any]:
    return {**BODY, "ext": {"ubi": section}}


def test_the_query_id_is_the_applications(plugin: PluginSearch) -> None:
    assert facts(plugin.search(with_ubi(query_id="q-1", client_id="c-1")))["query_id"] == "q-1"


def test_a_query_id_is_made_where_there_is_none(plugin: PluginSearch) -> None:
    made = [facts(plugin.search(body))["query_id"] for body in (BODY, BODY, with_ubi(client_id="c-1"))]
    assert len(set(made)) == 3
    assert all(str(uuid.UUID(query_id)) == query_id for query_id in made)


def test_a_search_without_our_pipeline_may_carry_the_section(plugin: PluginSearch) -> None:
    found = plugin.client.search(index=plugin.index, body=with_ubi(query_id="q-1"))
    assert hits(found) == hits(plugin.plain(BODY))


def test_it_may_have_keys_of_later_versions(plugin: PluginSearch) -> None:
    body = with_ubi(query_id="q-2", user_query={"text": "pad tai", "image": "x"}, later={"a": [1]})
    assert facts(plugin.search(body))["query_id"] == "q-2"


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ({"query_id": ["a"]}, "ext.ubi.query_id"),
        ({"query_id": "q" * 101}, "ext.ubi.query_id"),
        ({"client_id": {"a": 1}}, "ext.ubi.client_id"),
        ({"user_query": [TYPO]}, "ext.ubi.user_query"),
        ({"application": True}, "ext.ubi.application"),
        ({"query_attributes": "a"}, "ext.ubi.query_attributes"),
        ("q-1", "ext.ubi"),
    ],
)
def test_a_malformed_section_is_refused(plugin: PluginSearch, section: object, named: str) -> None:
    error = refusal(lambda: plugin.search({**BODY, "ext": {"ubi": section}}))
    assert named in json.dumps(error)


@pytest.fixture(scope="module", params=[DEFAULT_VERSION, KNN_VERSION])
def beside_ubi(
    request: pytest.FixtureRequest, rewriter: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PluginSearch]:
    """A node that has a plugin like the UBI plugin beside ours."""
    folder: Path = tmp_path_factory.mktemp("ubi")
    instance = NodeInstance.create(folder / "node", request.param)
    try:
        instance.install(build_plugin(request.param))
        instance.install(build_ubi_stub(instance, folder))
        url = instance.start(NodeOptions(settings=TEST_SETTINGS)).url
        assert url is not None
        client = OpenSearch(url, timeout=30)
        node = RunningNode(instance=instance, version=request.param, url=url, client=client)
        index_dishes(client, "dishes")
        set_endpoint(client, rewriter.address)
        search = PluginSearch(node, "dishes", pipeline="")
        yield PluginSearch(node, "dishes", search.create_pipeline())
        client.close()
    finally:
        instance.delete()


def raw_search(plugin: PluginSearch, body: dict[str, Any]) -> dict[str, Any]:
    """A search's response, whose JSON must not name a member twice."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), names
        return dict(pairs)

    request = urllib.request.Request(  # noqa: S310 - the node is on this machine
        f"{plugin.node.url}/{plugin.index}/_search?search_pipeline={plugin.pipeline}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as reply:
        response: dict[str, Any] = json.loads(reply.read(), object_pairs_hook=members)
    return response


def test_beside_the_ubi_plugin_its_section_is_its_own(beside_ubi: PluginSearch) -> None:
    response = raw_search(beside_ubi, with_ubi(query_id="q-1", user_query=TYPO))
    assert response["ext"] == {"ubi": {"query_id": "q-1"}}
    assert any(len(channel_names(hit)) > 1 for hit in hits(response))


def test_beside_the_ubi_plugin_other_searches_have_our_section(beside_ubi: PluginSearch) -> None:
    response = raw_search(beside_ubi, BODY)
    assert outcome(response) == "fused"
    assert str(uuid.UUID(facts(response)["query_id"]))


def test_beside_the_ubi_plugin_its_client_id_is_read(beside_ubi: PluginSearch) -> None:
    nobody = {"plugins.iterqr.experiment.name": "nobody", "plugins.iterqr.experiment.treatment_percent": 0}
    before = beside_ubi.counted("control")
    with cluster_settings(beside_ubi.client, nobody):
        beside_ubi.search(with_ubi(client_id="c-1"))
        beside_ubi.search(with_ubi(query_id="q-1"))
    assert beside_ubi.counted("control") == before + 1
