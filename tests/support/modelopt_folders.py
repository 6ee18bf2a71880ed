"""Folders as ModelOpt's `export_hf_checkpoint` writes them, of weights that are no model's.

The layout is that of ModelOpt 0.47 (`modelopt/torch/export/quant_utils.py`, `unified_export_hf.py`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors.numpy import load_file, save_file

_GROUP = 64


def modelopt_folder(
    folder: Path,
    plain: Path,
    algorithm: str,
    *,
    without: str = "",
    plain_module: str = "",
    quantization: Mapping[str, Any] | None = None,
) -> Path:
    """Writes the quantized twin of a plain folder; `without` leaves a tensor out, `plain_module` is not quantized."""
    settings: dict[str, Any] = {
        "quant_algo": algorithm,
        "kv_cache_quant_algo": "FP8" if algorithm == "FP8" else None,
        "exclude_modules": ["lm_head"],
    }
    if algorithm != "FP8":
        settings |= {"group_size": _GROUP, "has_zero_point": False, "pre_quant_scale": True}
    shutil.copytree(plain, folder, dirs_exist_ok=True)
    tensors: dict[str, Any] = {}
    for name, values in load_file(plain / "model.safetensors").items():
        module = name.removesuffix(".weight")
        quantized = name.endswith("_proj.weight") and module != plain_module
        tensors |= _quantized(name, values, algorithm) if quantized else {name: values}
    tensors.pop(without, None)
    save_file(tensors, folder / "model.safetensors")
    config = {
        "producer": {"name": "modelopt", "version": "0.47.0"},
        "quantization": settings | dict(quantization or {}),
    }
    (folder / "hf_quant_config.json").write_text(json.dumps(config, indent=2), "utf-8")
    return folder


def _quantized(name: str, values: Any, algorithm: str) -> dict[str, Any]:  # noqa: ANN401 - arrays
    rows, columns = values.shape
    if algorithm == "FP8":
        scale = np.abs(values).max() / np.float32(448)
        stored = (values / scale).astype(ml_dtypes.float8_e4m3fn)
        one = np.ones((), np.float32)
        return {name: stored, f"{name}_scale": np.array(scale), name.replace("weight", "input_scale"): one}
    packed = np.zeros((rows // 2, columns), np.uint8)
    return {name: packed, f"{name}_scale": np.ones((rows, columns // _GROUP), np.float32)}
