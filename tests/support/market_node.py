"""A node with the small world of the marketplace, and a scripted rewrite server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iterqr_benchmarks.marketplace.live import fill_node, open_arms
from iterqr_benchmarks.marketplace.node import EVENTS_INDEX, IMPRESSIONS, settle
from iterqr_benchmarks.marketplace.running import CLIENT_ID_KEY, EVENT_TIME
from iterqr_benchmarks.stack.settings import ChannelSettings
from iterqr_dev_node import NodeInstance, NodeOptions, build_plugin
from opensearchpy import OpenSearch
from support.opensearch_node import DEFAULT_VERSION
from support.plugin_search import set_endpoint
from support.rewrite_server import Script, running_server
from support.scripted_market import SMALL_WORLD

_BUDGET_MS = 20_000  # what users are shown must not depend on how busy this machine is


@contextmanager
def small_market_node(folder: Path, script: Script) -> Iterator[str]:
    """Gives the address of a node with the small world and open arms, whose server answers by the script."""
    instance = NodeInstance.create(folder / "node", DEFAULT_VERSION)
    try:
        instance.install(build_plugin(DEFAULT_VERSION))
        instance.put_secret("plugins.iterqr.client_id.hash_key", CLIENT_ID_KEY)
        url = instance.start(NodeOptions(settings={EVENT_TIME: "true"})).url
        assert url is not None
        with running_server(script=script) as server:
            with OpenSearch(url, timeout=60) as client:
                set_endpoint(client, server.address)
                filled = fill_node(client, SMALL_WORLD, lambda _text: None)
                assert filled.dishes == SMALL_WORLD.dishes
                open_arms(client, ChannelSettings(budget_ms=_BUDGET_MS))
            yield url
    finally:
        instance.delete()


def forget_logs(url: str) -> None:
    """Deletes all impressions, UBI queries and UBI events: what another test did is not this one's."""
    with OpenSearch(url, timeout=60) as client:
        settle(client)
        client.transport.perform_request("DELETE", f"/_data_stream/{IMPRESSIONS}")
        client.indices.delete(index=["ubi_queries", EVENTS_INDEX])
        client.transport.perform_request("POST", "/_plugins/_iterqr/ubi/initialize")
