"""A world on a real node: its dishes, the hints of its past, a pipeline for each arm, and the logs switched on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from iterqr_proto.policy import default_policy, policy_document
from opensearchpy import OpenSearch

from iterqr_benchmarks.catalog import Catalog
from iterqr_benchmarks.history import HintDocument, click_history
from iterqr_benchmarks.index import DISHES_INDEX, HINTS_INDEX, dishes_mapping, hints_mapping
from iterqr_benchmarks.marketplace.market import open_market
from iterqr_benchmarks.marketplace.merchants import region_names
from iterqr_benchmarks.marketplace.node import OpenSearchNode
from iterqr_benchmarks.marketplace.settings import Arm, TrafficSettings, WorldSettings
from iterqr_benchmarks.marketplace.summary import TrafficSummary
from iterqr_benchmarks.marketplace.traffic import Progress, run_traffic
from iterqr_benchmarks.marketplace.world import region_dishes, world_dishes
from iterqr_benchmarks.stack.indexing import PIPELINE, create_index, create_pipeline, index_documents
from iterqr_benchmarks.stack.settings import ChannelSettings
from iterqr_benchmarks.stack.world import FilledWorld

CONTROL_PIPELINE, EXPLORATION_PIPELINE = "iterqr-control", "iterqr-exploration"
EXPERIMENT = "marketplace"
HISTORY_INDEX = f"{HINTS_INDEX}-history"
_EXPERIMENT = "plugins.iterqr.experiment."
CACHE_TTL = "1h"  # a simulated week passes within minutes
_ALWAYS = {"plugins.iterqr.impressions.enabled": True, "plugins.iterqr.ubi.write_queries": True}
_CACHE_TTL = "plugins.iterqr.client.cache.ttl"


def fill_node(client: OpenSearch, world: WorldSettings, on_detail: Callable[[str], None]) -> FilledWorld:
    """Puts a world into a node that has none: its dishes, and what its past users clicked as hints.

    Args:
        client: Of the node.
        world: Made region by region, whatever its size.
        on_detail: Called with news.
    """
    create_index(client, DISHES_INDEX, dishes_mapping())
    dishes = index_documents(
        client,
        DISHES_INDEX,
        ((dish.dish_id, dish.document()) for dish in world_dishes(world)),
        lambda count: on_detail(f"{count:,} of {world.dishes:,} dishes"),
    )
    create_index(client, HISTORY_INDEX, hints_mapping())
    hints = index_documents(
        client,
        HISTORY_INDEX,
        ((f"{number:07d}", hint.document()) for number, hint in enumerate(_history(world, on_detail))),
        lambda count: on_detail(f"{count:,} hint documents"),
    )
    client.indices.put_alias(index=HISTORY_INDEX, name=HINTS_INDEX)  # hints that are learned take its place
    return FilledWorld(dishes=dishes, hints=hints)


def open_arms(client: OpenSearch, channel: ChannelSettings) -> None:
    """Creates or replaces the pipelines of all arms, and makes UBI's indices where they are not there.

    Args:
        client: Of a node.
        channel: Of the treatment's pipeline. The exploration's interleaves, so that what only a rewrite retrieves is
            seen, too, by the plugin's policy, whichever the checkpoint has; the control's rewrites nothing, and is
            logged all the same.
    """
    create_pipeline(client, channel)
    explores = replace(channel, fusion="interleave", policy=policy_document(default_policy()))
    create_pipeline(client, explores, EXPLORATION_PIPELINE)
    control = {
        "request_processors": [{"query_rewrite": {"mode": "off"}}],
        "response_processors": [{"rewrite_channel": {}}],
    }
    client.transport.perform_request("PUT", f"/_search/pipeline/{CONTROL_PIPELINE}", body=control)
    client.transport.perform_request("POST", "/_plugins/_iterqr/ubi/initialize")


def run_against(
    url: str,
    world: WorldSettings,
    traffic: TrafficSettings,
    folder: Path,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    *,
    application: str = "",
    cache_ttl: str = CACHE_TTL,
) -> TrafficSummary:
    """Runs traffic against a node with a world and open arms, from where an earlier start was stopped.

    Sets the node's experiment to what the arm needs.

    Args:
        url: Of the node, after `fill_node` and `open_arms`.
        world: What it was filled with.
        traffic: Who searches how much.
        folder: For ledger and state.
        on_progress: Called after each search.
        application: That searches and events name; "" for that of the arm.
        cache_ttl: How long the node keeps rewrites; another than before empties its cache.

    Raises:
        MarketplaceError: See `run_traffic`.
    """
    # No retries: a search that was answered has left its traces.
    with OpenSearch(url, timeout=120, max_retries=0, pool_maxsize=traffic.threads) as client:
        client.cluster.put_settings(body={"persistent": cluster_settings(traffic, cache_ttl)})
        node = OpenSearchNode(client, pipeline_of(traffic.arm), application or application_of(traffic.arm))
        return run_traffic(node, open_market(world), traffic, folder, on_progress)


def cluster_settings(traffic: TrafficSettings, cache_ttl: str = CACHE_TTL) -> dict[str, Any]:
    """Returns the cluster settings of a run; None takes one back."""
    splits = traffic.arm == "split"
    return {
        **_ALWAYS,
        _CACHE_TTL: cache_ttl,
        f"{_EXPERIMENT}name": EXPERIMENT if splits else None,
        f"{_EXPERIMENT}treatment_percent": traffic.treatment_percent if splits else None,
    }


def pipeline_of(arm: Arm) -> str:
    """Returns the pipeline that an arm's users search through."""
    return {"control": CONTROL_PIPELINE, "exploration": EXPLORATION_PIPELINE}.get(arm, PIPELINE)


def application_of(arm: Arm) -> str:
    """Returns the application that an arm's searches and events name, so that one node can hold both arms."""
    return "marketplace" if arm == "split" else f"marketplace-{arm}"


def _history(world: WorldSettings, on_detail: Callable[[str], None]) -> Iterator[HintDocument]:
    for region in region_names(world.regions):
        on_detail(f"click history of {region}")
        yield from click_history(Catalog((), region_dishes(world, region)), world.seed)
