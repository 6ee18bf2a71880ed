"""A node of each version with an index of dishes, asking a real rewrite server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.dish_catalog import REWRITES, index_dishes
from support.opensearch_node import RunningNode
from support.plugin_search import PluginSearch, set_endpoint
from support.rewrite_server import RunningServer, rewrites_script, running_server


@pytest.fixture(scope="session")
def rewriter() -> Iterator[RunningServer]:
    """The real service over the predictable engine; knows the rewrites of `REWRITES`."""
    with running_server(script=rewrites_script(REWRITES)) as server:
        yield server


@pytest.fixture(scope="session")
def plugin(plugin_node: RunningNode, rewriter: RunningServer) -> Iterator[PluginSearch]:
    """Our plugin on each version in turn."""
    index = plugin_node.unique_name("dishes")
    index_dishes(plugin_node.client, index)
    set_endpoint(plugin_node.client, rewriter.address)
    search = PluginSearch(plugin_node, index, pipeline="")
    yield PluginSearch(plugin_node, index, search.create_pipeline())
    set_endpoint(plugin_node.client, None)
