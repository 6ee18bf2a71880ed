"""A LoRA adapter as PEFT saves it: the pairs A and B, by the module of the base model that they update."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from iterqr_server.models.cache import sha256_of
from numpy.typing import NDArray

from iterqr_training.errors import ExportError
from iterqr_training.export.lora_config import CONFIG_FILE, LoraConfig, read_lora_config
from iterqr_training.export.safetensors_file import SafetensorsFile

TENSORS_FILE = "adapter_model.safetensors"
_TENSOR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<part>[AB])\.weight")


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter that can be merged. `modules` are those it updates, sorted."""

    folder: Path
    config: LoraConfig
    modules: tuple[str, ...]
    tensors: SafetensorsFile

    def update(self, module: str) -> NDArray[np.float32]:
        """What is added to the weight of `module`: scale B A, [out, in]."""
        a, b = (self.tensors.tensor(_name(module, part)) for part in "AB")
        return np.asarray((b @ a) * self.config.scale_of(module), np.float32)

    def files(self) -> tuple[Path, Path]:
        """The files it is made of."""
        return self.folder / CONFIG_FILE, self.folder / TENSORS_FILE

    def sha256(self) -> str:
        """The digest of its tensors."""
        return sha256_of(self.folder / TENSORS_FILE)


def read_adapter(folder: Path, weight_shapes: Mapping[str, tuple[int, ...]]) -> Adapter:
    """Opens an adapter and checks it against the base model's weights, `weight_shapes` by tensor name.

    Raises:
        ExportError: It is damaged, cannot be merged, or its shapes are not those of the base; the tensor is named.
    """
    config = read_lora_config(folder)
    if not (folder / TENSORS_FILE).is_file() and (folder / "adapter_model.bin").is_file():
        raise ExportError(f"{folder}: holds adapter_model.bin, a pickle: save it as safetensors (safe_serialization)")
    tensors = SafetensorsFile(folder / TENSORS_FILE)
    parts: dict[str, set[str]] = {}
    for name in tensors.shapes:
        if (found := _TENSOR.fullmatch(name)) is None:
            raise ExportError(f"{tensors.path}: {name} is no LoRA weight of a module: it cannot be merged")
        parts.setdefault(found["module"], set()).add(found["part"])
    if not parts:
        raise ExportError(f"{tensors.path}: holds no LoRA weights")
    for module, present in sorted(parts.items()):
        if missing := {"A", "B"} - present:
            raise ExportError(f"{tensors.path}: {_name(module, min(missing))} is missing")
        _check_shapes(module, config, tensors, weight_shapes)
    return Adapter(folder, config, tuple(sorted(parts)), tensors)


def _check_shapes(
    module: str, config: LoraConfig, tensors: SafetensorsFile, weight_shapes: Mapping[str, tuple[int, ...]]
) -> None:
    base = weight_shapes.get(f"{module}.weight")
    if base is None:
        raise ExportError(f"{tensors.path}: the base model has no weight of its own for {module}")
    if len(base) != 2:
        raise ExportError(f"{tensors.path}: {module} is no linear layer")
    rank = config.rank_of(module)
    for part, expected in (("A", (rank, base[1])), ("B", (base[0], rank))):
        shape = tensors.shapes[_name(module, part)]
        if shape != expected:
            raise ExportError(
                f"{tensors.path}: {_name(module, part)} is {list(shape)}, by {CONFIG_FILE} and the base model it must "
                f"be {list(expected)}: it is of another base, or damaged"
            )


def _name(module: str, part: str) -> str:
    return f"base_model.model.{module}.lora_{part}.weight"
