"""How a loop on two cores learns from the marketplace: what its stack serves, and what its commands are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from iterqr_benchmarks.stack.settings import ChannelSettings, StackSettings

REWRITES_A_QUERY = 6  # users can only tell which are good among those they were shown
POLICY = Path(__file__).with_name("data") / "policy.json"  # of this catalog's scores (DECISIONS record 43)
# Weights of six rewrites, not three (DECISIONS record 42). What is learned must not depend on how fast this machine is.
STACK = StackSettings(
    channel=ChannelSettings(budget_ms=20_000, rewrite_weight=0.05, rank_constant=200), hints_budget_ms=1_000
)
_TEMPLATE = "food_delivery_six"
# Made-up users need no protection, 600 rows take two cores minutes, and what is measured on has its own queries. All
# systems are asked for as many rewrites as they must write, or latency would say who writes more.
_FLAGS = {
    "attribute": ("--min-clients", "1"),
    "label": ("--min-clients", "1"),
    "dataset": (
        *("--min-clients", "1", "--max-rows-a-task", "100", "--max-generation-rows", "400"),
        *("--max-rewrites", str(REWRITES_A_QUERY)),
        *("--test-share", "0", "--validation-share", "0.03"),
    ),
    "train": (
        *("--template", f"{_TEMPLATE}_tuned", "--lora-rank", "8", "--lora-alpha", "16"),
        *("--epochs", "1", "--validate-every", "50"),  # of a second, see DECISIONS record 43
    ),
    "evaluate": (
        *("--max-rewrites", str(REWRITES_A_QUERY), "--max-harm-rate", "0.03"),
        *("--at-a-time", "8", "--timed", "50", "--policy", str(POLICY)),
    ),
}


def learning_stack(stack: StackSettings) -> StackSettings:
    """Returns the stack with `REWRITES_A_QUERY`, and the template for so many if it has none of its own."""
    channel = replace(stack.channel, max_rewrites=REWRITES_A_QUERY)
    return replace(stack, template=stack.template or _TEMPLATE, min_rewrites=REWRITES_A_QUERY, channel=channel)


def command_flags(stack: StackSettings) -> Mapping[str, tuple[str, ...]]:
    """Returns flags by command of `iterqr-train`: what is measured is fused as on the stack."""
    channel = stack.channel
    fusion = ("--rewrite-weight", f"{channel.rewrite_weight:g}", "--rank-constant", str(channel.rank_constant))
    return {**_FLAGS, "evaluate": (*_FLAGS["evaluate"], *fusion)}
