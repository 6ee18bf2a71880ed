"""Nodes that ask a real rewrite server: of each version with an index of dishes, and one with a small marketplace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.dish_catalog import REWRITES, index_dishes
from support.market_node import forget_logs, small_market_node
from support.opensearch_node import RunningNode
from support.plugin_search import PluginSearch, set_endpoint
from support.predictable import last_query
from support.rewrite_server import RunningServer, answer, rewrites_script, running_server


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


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a node with the small marketplace, whose server proposes something for whatever is asked."""

    def widened(prompt: str) -> str:
        """Rewrites that find some of what the query finds, and something else."""
        query = last_query(prompt)
        words = query.split()
        return answer(query, (f"{words[-1]} rice", f"{words[0]} soup", "chicken noodles"))

    with small_market_node(tmp_path_factory.mktemp("market"), widened) as url:
        yield url


@pytest.fixture
def market_node(market: str) -> Iterator[str]:
    """`market`, without logs of other tests."""
    yield market
    forget_logs(market)
