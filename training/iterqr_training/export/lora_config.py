"""PEFT's adapter_config.json: which module's update is scaled by how much. What cannot be merged is refused by name.

Written from PEFT 0.21 (`peft/tuners/lora/config.py`). A field that is not known here may be there only unset: what it
would change in the merge is not known either.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iterqr_training.errors import ExportError

CONFIG_FILE = "adapter_config.json"

_READ = {"r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora"}
# They chose which modules were trained and how; what came of it is in the tensors.
_WITHOUT_EFFECT = {
    "peft_type",
    "peft_version",
    "task_type",
    "auto_mapping",
    "base_model_name_or_path",
    "revision",
    "inference_mode",
    "target_modules",
    "exclude_modules",
    "layers_to_transform",
    "layers_pattern",
    "lora_dropout",
    "megatron_core",
    "bias",
    "init_lora_weights",
    "loftq_config",
    "eva_config",
    "runtime_config",
    "qalora_group_size",
}
# The others (pissa, olora, corda, loftq, lora_ga) change the base model's weights before training.
_STARTS_THAT_LEAVE_THE_BASE = (True, False, "gaussian", "eva", "orthogonal")


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """What the merge needs. Patterns are regular expressions for the end of a module's name; the first that fits wins.

    `base_name` is what the adapter says it was trained on; empty if it says nothing.
    """

    base_name: str
    rank: int
    alpha: float
    rank_pattern: Mapping[str, int]
    alpha_pattern: Mapping[str, float]
    rank_stabilized: bool

    def rank_of(self, module: str) -> int:
        """The rank of a module's update, such as that of `model.layers.0.self_attn.q_proj`."""
        return next((rank for pattern, rank in self.rank_pattern.items() if _fits(pattern, module)), self.rank)

    def scale_of(self, module: str) -> float:
        """What B A is multiplied by: alpha / r, or alpha / sqrt(r) where it is rank-stabilized (arXiv 2312.03732)."""
        alpha = next((value for pattern, value in self.alpha_pattern.items() if _fits(pattern, module)), self.alpha)
        rank = self.rank_of(module)
        return alpha / math.sqrt(rank) if self.rank_stabilized else alpha / rank


def read_lora_config(folder: Path) -> LoraConfig:
    """Reads an adapter's configuration.

    Raises:
        ExportError: It is missing, damaged, or of an adapter that W + scale B A does not merge; the field is named.
    """
    path = folder / CONFIG_FILE
    try:
        data = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ExportError(f"{path} is missing: --adapter must be a folder that PEFT saved") from error
    except ValueError as error:
        raise ExportError(f"{path} is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise ExportError(f"{path} must be a JSON object")
    _refuse_what_cannot_be_merged(data, path)
    return LoraConfig(
        base_name=str(data.get("base_model_name_or_path") or ""),
        rank=_number(data, "r", path, whole=True),
        alpha=_number(data, "lora_alpha", path),
        rank_pattern=_pattern(data, "rank_pattern", path, whole=True),
        alpha_pattern=_pattern(data, "alpha_pattern", path),
        rank_stabilized=bool(data.get("use_rslora")),
    )


def _refuse_what_cannot_be_merged(data: Mapping[str, Any], path: Path) -> None:
    if data.get("peft_type") != "LORA":
        raise ExportError(f"{path}: peft_type is {data.get('peft_type')!r}, only 'LORA' can be merged")
    if (bias := data.get("bias", "none")) != "none":
        raise ExportError(f"{path}: bias is {bias!r}, only 'none' can be merged")
    if (start := data.get("init_lora_weights", True)) not in _STARTS_THAT_LEAVE_THE_BASE:
        raise ExportError(
            f"{path}: init_lora_weights is {start!r}, which changes the base's weights before training: save the "
            "adapter converted to plain LoRA (PEFT's path_initial_model_for_weight_conversion)"
        )
    for name in sorted(data.keys() - _READ - _WITHOUT_EFFECT):
        if data[name]:
            raise ExportError(f"{path}: {name} is set, and such adapters cannot be merged here: merge it with PEFT")


def _fits(pattern: str, module: str) -> bool:
    """As PEFT's `get_pattern_key`."""
    return re.match(rf"(.*\.)?({pattern})$", module) is not None


def _pattern(data: Mapping[str, Any], name: str, path: Path, *, whole: bool = False) -> dict[str, Any]:
    given = data.get(name) or {}
    if not isinstance(given, dict):
        raise ExportError(f"{path}: {name} must be an object of patterns and numbers")
    for pattern in given:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ExportError(f"{path}: {name}: {pattern!r} is no regular expression: {error}") from error
    return {pattern: _number(given, pattern, path, whole=whole, where=f"{name}.") for pattern in given}


def _number(data: Mapping[str, Any], name: str, path: Path, *, whole: bool = False, where: str = "") -> Any:  # noqa: ANN401 - int or float
    value = data.get(name)
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not 0 < value < math.inf:
        raise ExportError(f"{path}: {where}{name} is {value!r}, it must be a {'whole ' if whole else ''}number above 0")
    return value
