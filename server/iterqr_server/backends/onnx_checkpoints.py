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
    """A `CheckpointEngines`. `base_folder` returns that of the configured model, which has been found by then."""

    kinds = ("onnx-int8", "onnx-int4")
    memory_name = "memory"

    def __init__(
        self,
        open_engine: Callable[[Path], GenerationEngine],
        base_folder: Callable[[], Path],
        arena_positions: int,
        available_bytes: Callable[[], int | None],
    ) -> None:
        self._open_engine = open_engine
        self._base_folder = base_folder
        self._arena_positions = arena_positions
        self._available_bytes = available_bytes

    def base_sha256(self) -> str:
        """See `CheckpointEngines`."""
        return read_built_model(self._base_folder()).source_sha256

    def needed_bytes(self, artifact: Path | None) -> int:
        """See `CheckpointEngines`. Measured with the 0.5B model: int8 takes 72% of what this says, int4 60%."""
        folder = artifact or self._base_folder()
        shapes = read_built_model(folder).architecture
        arena = 2 * shapes.layers * self._arena_positions * shapes.kv_size * _BYTES_OF_FLOAT32
        return int((folder / DATA_FILE).stat().st_size * _WEIGHTS) + arena + _BESIDE_WEIGHTS

    def available_bytes(self) -> int | None:
        """See `CheckpointEngines`."""
        return self._available_bytes()

    def open(self, artifact: Path) -> GenerationEngine:
        """See `CheckpointEngines`."""
        return self._open_engine(artifact)
