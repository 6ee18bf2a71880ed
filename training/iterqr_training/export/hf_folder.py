"""Writes the Hugging Face folder that transformers, TensorRT-LLM and this server's builder load."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import ml_dtypes
import numpy as np
from iterqr_server.models.hf_files import CONFIG_FILE
from iterqr_server.models.progress import ProgressListener
from iterqr_server.models.weights import Weights
from numpy.typing import NDArray
from safetensors.numpy import save_file

from iterqr_training.errors import ExportError
from iterqr_training.export.qwen2_tensors import qwen2_tensors

Precision = Literal["bfloat16", "float16", "float32"]
INDEX_FILE = "model.safetensors.index.json"
MAX_SHARD_BYTES = 2_000_000_000  # bounds the memory of writing one
_TYPES: Mapping[Precision, np.dtype[Any]] = {
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float16": np.dtype(np.float16),
    "float32": np.dtype(np.float32),
}


@dataclass(frozen=True, slots=True)
class Shard:
    """A file of weights and the tensors in it."""

    file: str
    tensors: tuple[str, ...]


def write_hf_folder(
    folder: Path,
    weights: Weights,
    files: Mapping[str, str],
    *,
    precision: Precision,
    listener: ProgressListener,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Writes weights in shards, config.json in their precision, and the other files, into a new folder.

    Args:
        folder: Must not exist.
        weights: Read one tensor at a time.
        files: config.json and the tokenizer's, as `hf_files` gives them.
        precision: Of the weights.
        listener: Hears of the tensors written.
        max_shard_bytes: Of a file; a larger tensor has one to itself.

    Raises:
        ExportError: A tensor is missing, has another shape than the architecture says, or does not fit the precision.
    """
    folder.mkdir()
    shapes = qwen2_tensors(weights.architecture, own_head=weights.has_own_head)
    kind = _TYPES[precision]
    shards = plan_shards({name: _size(shape, kind) for name, shape in shapes.items()}, max_shard_bytes)
    listener.stage("merge weights", len(shapes))
    for shard in shards:
        file = folder / shard.file
        save_file(dict(_tensors(shard, weights, shapes, kind, listener)), file, {"format": "pt"})
        file.chmod(0o644)  # the library makes it readable for its writer alone
    if len(shards) > 1:
        index = {
            "metadata": {"total_size": sum(_size(shape, kind) for shape in shapes.values())},
            "weight_map": {name: shard.file for shard in shards for name in shard.tensors},
        }
        (folder / INDEX_FILE).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", "utf-8")
    for name, text in files.items():
        (folder / name).write_text(_in_precision(text, precision) if name == CONFIG_FILE else text, "utf-8")


def plan_shards(sizes: Mapping[str, int], max_shard_bytes: int) -> list[Shard]:
    """Returns which tensors go into which file, in order; the names are those that transformers expects."""
    groups: list[list[str]] = [[]]
    used = 0
    for name, size in sizes.items():
        if groups[-1] and used + size > max_shard_bytes:
            groups.append([])
            used = 0
        groups[-1].append(name)
        used += size
    if len(groups) == 1:
        return [Shard("model.safetensors", tuple(groups[0]))]
    return [
        Shard(f"model-{number:05d}-of-{len(groups):05d}.safetensors", tuple(group))
        for number, group in enumerate(groups, start=1)
    ]


def _tensors(
    shard: Shard,
    weights: Weights,
    shapes: Mapping[str, Sequence[int]],
    kind: np.dtype[Any],
    listener: ProgressListener,
) -> Iterator[tuple[str, NDArray[Any]]]:
    for name in shard.tensors:
        values = weights.tensor(name)
        if values.shape != tuple(shapes[name]):
            raise ExportError(f"{name} is {list(values.shape)}, by config.json it must be {list(shapes[name])}")
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(values.astype(kind))
        if not np.isfinite(stored).all():
            raise ExportError(f"{name} has values that {kind.name} cannot hold: export with another --precision")
        listener.advance(1)
        yield name, stored


def _size(shape: Sequence[int], kind: np.dtype[Any]) -> int:
    return int(np.prod(shape)) * kind.itemsize


def _in_precision(config: str, precision: Precision) -> str:
    data = json.loads(config)
    for name in ("dtype", "quantization_config"):  # newer releases call it so, and read the older name too
        data.pop(name, None)
    data.setdefault("architectures", ["Qwen2ForCausalLM"])
    return json.dumps(data | {"torch_dtype": precision}, indent=2, ensure_ascii=False) + "\n"
