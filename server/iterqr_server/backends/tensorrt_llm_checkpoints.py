"""Checkpoints' Hugging Face artifacts, for the server that swaps them on TensorRT-LLM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from iterqr_proto.manifest import ManifestError, read_manifest
from iterqr_proto.registry import CheckpointDamagedError
from iterqr_proto.registry.artifacts import artifact_files, check_folder

from iterqr_server.backends.nvidia_gpu import Gpu, find_gpus, free_bytes
from iterqr_server.backends.tensorrt_llm_memory import second_model_bytes
from iterqr_server.config import Settings
from iterqr_server.engine.interface import GenerationEngine
from iterqr_server.models.builder import weights_digest
from iterqr_server.models.errors import UnsupportedModelError
from iterqr_server.models.hf_checkpoint import read_hf_shapes, read_quantization
from iterqr_server.models.progress import Silent
from iterqr_server.models.store import FoundWeights
from iterqr_server.models.weights import weight_files

_MANIFEST_FILE = "manifest.json"


class TensorRtLlmCheckpointEngines:
    """A `CheckpointEngines`. `base_folder` returns that of the configured model, which has been found by then."""

    kinds = ("trtllm", "hf-safetensors")
    memory_name = "GPU memory"

    def __init__(
        self,
        open_engine: Callable[[Path], GenerationEngine],
        base_folder: Callable[[], Path],
        settings: Settings,
        gpus: Callable[[], tuple[Gpu, ...]] = find_gpus,
        free_of: Callable[[Gpu], int | None] = free_bytes,
    ) -> None:
        self._open_engine = open_engine
        self._base_folder = base_folder
        self._settings = settings
        self._gpus = gpus
        self._free_of = free_of
        self._digests: dict[Path, str] = {}

    def base_sha256(self) -> str:
        """See `CheckpointEngines`. Weights are read once: the folder of a server that runs does not change."""
        folder = self._base_folder()
        if folder not in self._digests:
            self._digests[folder] = base_digest(folder)
        return self._digests[folder]

    def needed_bytes(self, artifact: Path | None) -> int:
        """See `CheckpointEngines`. On each GPU; by arithmetic."""
        folder = artifact or self._base_folder()
        config = self._settings.tensorrt_llm
        quantization = read_quantization(folder)
        of_checkpoint = quantization.kv_cache_algorithm if quantization else ""
        return second_model_bytes(
            read_hf_shapes(folder),
            sum(path.stat().st_size for path in weight_files(folder)),
            self._settings.engine,
            config,
            has_fp8_cache=config.kv_cache_dtype == "fp8" or of_checkpoint == "FP8",
        )

    def available_bytes(self) -> int | None:
        """See `CheckpointEngines`. On the fullest of the GPUs that a model is spread over."""
        free = [self._free_of(gpu) for gpu in self._gpus()[: self._settings.tensorrt_llm.tensor_parallel_size]]
        known = [each for each in free if each is not None]
        return min(known) if known and len(known) == len(free) else None

    def open(self, artifact: Path) -> GenerationEngine:
        """See `CheckpointEngines`."""
        return self._open_engine(artifact)


def base_digest(folder: Path) -> str:
    """Returns the digest of the base model's weights that a configured folder stands for.

    A folder of a checkpoint that export wrote stands for the base of its manifest, which may be another kind of file
    (GGUF); any other for its own weights.

    Raises:
        UnsupportedModelError: its files are not those of the manifest beside it.
    """
    path = folder.parent / _MANIFEST_FILE
    if not path.is_file():
        return weights_digest(FoundWeights(folder), Silent())
    try:
        manifest = read_manifest(path)
        files = [file for file in artifact_files(manifest) if Path(file.path).parts[0] == folder.name]
        check_folder(folder.parent, files)
    except (ManifestError, CheckpointDamagedError, OSError) as error:
        raise UnsupportedModelError(f"{path}: {error}") from error
    listed = {Path(file.path).name for file in files}
    for weights in weight_files(folder):
        if weights.name not in listed:
            raise UnsupportedModelError(f"{path}: does not list {folder.name}/{weights.name}")
    return str(manifest["base_model"]["sha256"])
