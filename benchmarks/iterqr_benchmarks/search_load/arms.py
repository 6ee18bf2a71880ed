"""The ways to search that are measured beside each other."""

from __future__ import annotations

from typing import Any

from iterqr_benchmarks.search_load.plan import PLAIN, Arm

SERVER_SETTING = "plugins.iterqr.server.endpoint"
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
        Arm(PLAIN, "", {}, {}, fresh=False, outcome=""),
        Arm(CACHED, FUSE, {}, {}, fresh=False, outcome="fused"),
        Arm("server down", FUSE, {}, {SERVER_SETTING: nobody}, fresh=False, outcome="unavailable"),
        Arm("uncached rewrites", FUSE, {}, {}, fresh=True, outcome=""),
    )
