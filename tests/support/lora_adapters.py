"""LoRA adapters for tests, in the files that PEFT saves, with random values."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

Array = NDArray[np.float32]
# What PEFT 0.21 writes for LoraConfig(r=4, lora_alpha=8, ...); fields that tests set come on top.
CONFIG: Mapping[str, Any] = {
    "alora_invocation_tokens": None,
    "alpha_pattern": {},
    "arrow_config": None,
    "auto_mapping": None,
    "base_model_name_or_path": "tiny",
    "bias": "none",
    "corda_config": None,
    "ensure_weight_tying": False,
    "eva_config": None,
    "exclude_modules": None,
    "fan_in_fan_out": False,
    "inference_mode": True,
    "init_lora_weights": True,
    "layer_replication": None,
    "layers_pattern": None,
    "layers_to_transform": None,
    "loftq_config": {},
    "lora_alpha": 8,
    "lora_bias": False,
    "lora_dropout": 0.05,
    "megatron_config": None,
    "megatron_core": "megatron.core",
    "modules_to_save": None,
    "peft_type": "LORA",
    "peft_version": "0.21.2",
    "qalora_group_size": 16,
    "r": 4,
    "rank_pattern": {},
    "revision": None,
    "target_modules": ["q_proj", "v_proj", "down_proj"],
    "target_parameters": None,
    "task_type": "CAUSAL_LM",
    "trainable_token_indices": None,
    "use_dora": False,
    "use_qalora": False,
    "use_rslora": False,
}


def lora_tensors(
    shapes: Mapping[str, tuple[int, ...]], targets: str, *, rank: int = 4, seed: int = 0
) -> dict[str, Array]:
    """A and B of every module whose name matches `targets` to its end, by PEFT's tensor names."""
    random = np.random.default_rng(seed)
    tensors = {}
    for name, shape in shapes.items():
        module = name.removesuffix(".weight")
        if name.endswith(".weight") and re.search(rf"(?:{targets})$", module):
            rows, columns = shape
            for part, size in (("A", (rank, columns)), ("B", (rows, rank))):
                values = random.normal(0, 0.1, size).astype(np.float32)
                tensors[f"base_model.model.{module}.lora_{part}.weight"] = values
    return tensors


def save_adapter(folder: Path, tensors: Mapping[str, Array], **config: Any) -> Path:  # noqa: ANN401 - JSON
    """Writes an adapter's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({**CONFIG, **config}), "utf-8")
    save_file(dict(tensors), folder / "adapter_model.safetensors", {"format": "pt"})
    return folder
