"""The ways to search that are measured beside each other."""

from __future__ import annotations

from typing import Any

from iterqr_benchmarks.search_load.plan import PLAIN, Arm

SERVER_SETTING = "plugins.iterqr.server.endpoints"
_DOWN = ("unavailable", "breaker_open")
_NODE_CACHE = "plugins.iterqr.client.cache.enabled"
FUSE = "fuse"
CACHED = "cached rewrites"

PIPELINES: dict[str, dict[str, Any]] = {
    FUSE: {"request_processors": [{"query_rewrite": {}}], "response_processors": [{"rewrite_channel": {}}]},
}
"""With the plugin's own defaults."""


def all_arms(nobody: str) -> tuple[Arm, ...]:
    """Returns the arms, plain searches first.

    Args:
        nobody: An address that nothing listens on.
    """
    return (
        Arm(PLAIN, "", {}, {}, fresh=False, outcomes=()),
        Arm(CACHED, FUSE, {}, {}, fresh=False, outcomes=("fused",)),
        Arm("cached by server", FUSE, {}, {_NODE_CACHE: "false"}, fresh=False, outcomes=("fused",)),
        Arm("server down", FUSE, {}, {_NODE_CACHE: "false", SERVER_SETTING: nobody}, fresh=False, outcomes=_DOWN),
        Arm("uncached rewrites", FUSE, {}, {}, fresh=True, outcomes=()),
    )
