"""A Hugging Face folder that an engine loads as it is: safetensors, tokenizer, and how the weights are quantized.

`hf_quant_config.json` is what ModelOpt's export writes. Without it the weights are as trained.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iterqr_server.models.architecture import Architecture
from iterqr_server.models.cache import sha256_of
from iterqr_server.models.errors import UnsupportedModelError
from iterqr_server.models.progress import ProgressListener
from iterqr_server.models.store import KNOWN_MODELS, find_weights
from iterqr_server.models.weights import architecture_of_config

QUANTIZATION_FILE = "hf_quant_config.json"
_CONFIG_FILE, _TOKENIZER_FILE = "config.json", "tokenizer.json"
_ADAPTER_FILE = "adapter_config.json"
_ARCHITECTURE = "Qwen2ForCausalLM"
_ALGORITHMS = ("FP8", "W4A16_AWQ", "W4A8_AWQ")
_KV_ALGORITHMS = ("FP8",)
_ID_DIGITS = 12


@dataclass(frozen=True, slots=True)
class QuantizedWeights:
    """What hf_quant_config.json says: the algorithm of the weights, and that of the key/value cache or ""."""

    algorithm: str
    kv_cache_algorithm: str = ""


@dataclass(frozen=True, slots=True)
class HfCheckpoint:
    """A checked folder. `name` has its digest in it, so it changes whenever a file does that outputs depend on."""

    folder: Path
    name: str
    context: int
    quantization: QuantizedWeights | None

    @property
    def weights_bytes(self) -> int:
        """Of its files."""
        return sum(path.stat().st_size for path in self.folder.glob("*.safetensors"))

    @property
    def tokenizer_path(self) -> Path:
        """The tokenizer, as the `tokenizers` library reads it."""
        return self.folder / _TOKENIZER_FILE


def prepare_hf_checkpoint(name: str, listener: ProgressListener) -> Path:
    """Returns the folder of `name`, a local folder or a hub id, downloaded first if need be.

    Raises:
        UnsupportedModelError: the name is that of a GGUF file.
        ModelError: the folder cannot be found or downloaded.
    """
    if name in KNOWN_MODELS or Path(name).expanduser().is_file():
        raise UnsupportedModelError(
            f"model.name: {name!r} is a GGUF file, which tensorrt_llm does not load; "
            "give a folder with safetensors, such as an exported checkpoint, or a hub id"
        )
    return find_weights(name, listener).path


def read_hf_checkpoint(folder: Path, listener: ProgressListener) -> HfCheckpoint:
    """Reads and checks a folder; its weights are read once, for their digest.

    Raises:
        UnsupportedModelError: a file is missing or unreadable, or says something that no engine here runs.
    """
    weights = sorted(folder.glob("*.safetensors"))
    if (folder / _ADAPTER_FILE).is_file():
        raise UnsupportedModelError(f"{folder}: holds an adapter alone; merge it into its base model first")
    for path in (folder / _CONFIG_FILE, folder / _TOKENIZER_FILE):
        if not path.is_file():
            raise UnsupportedModelError(f"{folder}: {path.name} is missing")
    if not weights:
        raise UnsupportedModelError(f"{folder}: has no .safetensors file")
    config = _read_object(folder / _CONFIG_FILE)
    if config.get("architectures") != [_ARCHITECTURE]:
        raise UnsupportedModelError(
            f"{folder / _CONFIG_FILE}: architectures: must be ['{_ARCHITECTURE}'], got {config.get('architectures')!r}"
        )
    context = config.get("max_position_embeddings")
    if not isinstance(context, int) or context < 1:
        raise UnsupportedModelError(
            f"{folder / _CONFIG_FILE}: max_position_embeddings: must be a positive integer, got {context!r}"
        )
    quantization = read_quantization(folder)
    files = [path for name in (_CONFIG_FILE, _TOKENIZER_FILE, QUANTIZATION_FILE) if (path := folder / name).is_file()]
    listener.stage("check weights", sum(path.stat().st_size for path in files + weights))
    digests = "".join(f"{path.name} {sha256_of(path, listener.advance)}\n" for path in files + weights)
    digest = hashlib.sha256(digests.encode()).hexdigest()[:_ID_DIGITS]
    stem = "".join(c if c.isalnum() or c in ".-" else "-" for c in folder.name)[:64]
    return HfCheckpoint(folder, f"{stem}-{digest}", context, quantization)


def read_hf_shapes(folder: Path) -> Architecture:
    """Returns the shapes that a folder's config.json states.

    Raises:
        UnsupportedModelError: it is not readable or not of the Qwen2 family.
    """
    return architecture_of_config(_read_object(folder / _CONFIG_FILE), folder)


def read_quantization(folder: Path) -> QuantizedWeights | None:
    """Returns what a folder's hf_quant_config.json says; None without one.

    Raises:
        UnsupportedModelError: it is not readable, or says something that no engine here runs.
    """
    path = folder / QUANTIZATION_FILE
    if not path.is_file():
        return None
    found = _read_object(path).get("quantization")
    if not isinstance(found, dict):
        raise UnsupportedModelError(f"{path}: quantization: must be an object, got {found!r}")
    algorithm, kv_cache = found.get("quant_algo"), found.get("kv_cache_quant_algo")
    if algorithm not in _ALGORITHMS:
        raise UnsupportedModelError(
            f"{path}: quantization.quant_algo: must be one of {', '.join(_ALGORITHMS)}, got {algorithm!r}"
        )
    if kv_cache is not None and kv_cache not in _KV_ALGORITHMS:
        raise UnsupportedModelError(
            f"{path}: quantization.kv_cache_quant_algo: must be null or {', '.join(_KV_ALGORITHMS)}, got {kv_cache!r}"
        )
    return QuantizedWeights(algorithm, kv_cache or "")


def _read_object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UnsupportedModelError(f"{path}: is not readable JSON: {error}") from error
    if not isinstance(found, dict):
        raise UnsupportedModelError(f"{path}: must be a JSON object")
    return found
