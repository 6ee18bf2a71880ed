"""What a stack runs with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from iterqr_dev_node import DEFAULT_VERSION

MODEL = "qwen2.5-coder-0.5b-instruct"
SEED = 20_260_101


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """The search pipeline: budget in ms, window in hits, fusion, and the weights of reciprocal rank fusion.

    The defaults are the plugin's own but for the budget, chosen on the 200 tuning queries (DECISIONS record 26).
    `policy`: the pipeline's own document; None: the checkpoint's, or the plugin's own.
    """

    budget_ms: int = 3_000
    window_size: int = 50
    max_rewrites: int = 3
    original_weight: float = 1.0
    rewrite_weight: float = 0.3
    rank_constant: int = 5
    fusion: str = "rrf"
    policy: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class StackSettings:
    """A whole stack. A port of 0 takes any free one; `template` is a file or one of the server's, "" its default.

    `hints_budget_ms`: time the server has for reading hints; after it the query is rewritten without. `registry`: of
    the checkpoints that the server follows, a folder; "" for the model alone. `min_rewrites`: that a model must write.
    """

    opensearch_version: str = DEFAULT_VERSION
    model: str = MODEL
    seed: int = SEED
    template: str = ""
    http_port: int = 0
    grpc_port: int = 0
    hints_budget_ms: int = 50
    registry: str = ""
    min_rewrites: int = 1
    channel: ChannelSettings = field(default_factory=ChannelSettings)

    def without_ports(self) -> dict[str, Any]:
        """Returns all that decides what is served; ports may differ from start to start."""
        return {**asdict(self), "http_port": 0, "grpc_port": 0}
