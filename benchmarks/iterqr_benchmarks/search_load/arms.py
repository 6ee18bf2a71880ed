"""The ways to search that are measured beside each other."""

from __future__ import annotations

from typing import Any

from iterqr_benchmarks.search_load.plan import PLAIN, Arm

SERVER_SETTING = "plugins.iterqr.server.endpoints"
FUSE = "fuse"
CACHED = "cached rewrites"
CONTROL = "control"
UNCACHED = "uncached rewrites"
FEWER_REWRITES = 2
PATIENT_BUDGET_MS = 10_000
"""For new queries, so that their rewrites are there in time on a CPU too; what that takes is the model's time."""

PIPELINES: dict[str, dict[str, Any]] = {
    FUSE: {
        "request_processors": [{"query_rewrite": {"policy": {"policy_version": 1, "policy_id": "even"}}}],
        "response_processors": [{"rewrite_channel": {}}],
    },
}
"""With the plugin's own defaults, but for its policy: every search is to be fused, which costs most."""

_DOWN = ("unavailable", "breaker_open")
_NO_NODE_CACHE = {"plugins.iterqr.client.cache.enabled": "false"}
_ALL_CONTROL = {
    "plugins.iterqr.experiment.name": "load",
    "plugins.iterqr.experiment.treatment_percent": "0",
}


def all_arms(nobody: str) -> tuple[Arm, ...]:
    """Returns the arms, plain searches first.

    Args:
        nobody: An address that nothing listens on.
    """
    down = {**_NO_NODE_CACHE, SERVER_SETTING: nobody}
    return (
        Arm(PLAIN, "", {}, {}, fresh=False, outcomes=()),
        Arm(CONTROL, FUSE, {"ubi": {"client_id": "load"}}, _ALL_CONTROL, fresh=False, outcomes=("control",)),
        Arm(CACHED, FUSE, {}, {}, fresh=False, outcomes=("fused",)),
        Arm("cached, at most 2", FUSE, _iterqr(max_rewrites=FEWER_REWRITES), {}, fresh=False, outcomes=("fused",)),
        Arm("cached by server", FUSE, {}, _NO_NODE_CACHE, fresh=False, outcomes=("fused",)),
        Arm("expand", FUSE, _iterqr(mode="expand"), {}, fresh=False, outcomes=("expanded",)),
        Arm("shadow", FUSE, _iterqr(mode="shadow"), {}, fresh=False, outcomes=("shadow",)),
        Arm("server down", FUSE, {}, down, fresh=False, outcomes=_DOWN),
        Arm(UNCACHED, FUSE, _iterqr(budget_ms=PATIENT_BUDGET_MS), {}, fresh=True, outcomes=("fused",), longer=8.0),
        Arm("uncached, default budget", FUSE, {}, {}, fresh=True, outcomes=()),
    )


def _iterqr(**options: str | int) -> dict[str, Any]:
    return {"iterqr": options}
