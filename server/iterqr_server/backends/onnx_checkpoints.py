"""Checkpoints' ONNX artifacts, for the server that swaps them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from iterqr_server.engine.interface import GenerationEngine
from iterqr_server.models.built_model import DATA_FILE, read_built_model

_BYTES_OF_FLOAT32 = 4
_WEIGHTS = 1.1
"""Bytes in memory over bytes on disk."""
_BESIDE_WEIGHTS = 256 << 20
"""Tokenizer, grammar tables and the library's work space."""


class OnnxCheckpointEngines:
    """A `CheckpointEngines`. `base_sha256` returns the digest of the configured model, which has been found by then."""

    kinds = ("onnx-int8", "onnx-int4")

    def __init__(
        self, open_engine: Callable[[Path], GenerationEngine], base_sha256: Callable[[], str], arena_positions: int
    ) -> None:
        self._open_engine = open_engine
        self._base_sha256 = base_sha256
        self._arena_positions = arena_positions

    def base_sha256(self) -> str:
        """See `CheckpointEngines`."""
        return self._base_sha256()

    def needed_bytes(self, artifact: Path) -> int:
        """See `CheckpointEngines`. Measured with the 0.5B model: int8 takes 72% of what this says, int4 60%."""
        shapes = read_built_model(artifact).architecture
        arena = 2 * shapes.layers * self._arena_positions * shapes.kv_size * _BYTES_OF_FLOAT32
        return int((artifact / DATA_FILE).stat().st_size * _WEIGHTS) + arena + _BESIDE_WEIGHTS

    def open(self, artifact: Path) -> GenerationEngine:
        """See `CheckpointEngines`."""
        return self._open_engine(artifact)
