"""Shapes of a Qwen2.5 model."""

from __future__ import annotations

from dataclasses import dataclass

from iterqr_server.models.errors import UnsupportedModelError


@dataclass(frozen=True, slots=True)
class Architecture:
    """A decoder of the Qwen2 family (0.5B to 72B). `vocabulary` counts rows of the embedding table."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    context: int
    rope_theta: float
    norm_epsilon: float

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise UnsupportedModelError(f"{self.heads} heads cannot share {self.kv_heads} key/value heads")

    @property
    def q_size(self) -> int:
        """Columns of all queries."""
        return self.heads * self.head_size

    @property
    def kv_size(self) -> int:
        """Columns of all keys, or of all values."""
        return self.kv_heads * self.head_size
