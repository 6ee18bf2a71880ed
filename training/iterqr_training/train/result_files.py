"""What a run gives: the adapter as PEFT saves it, or tuned weights as a Hugging Face folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iterqr_server.models.cache import sha256_of
from peft import get_peft_model_state_dict
from safetensors.torch import save_file

from iterqr_training.files import replace_folder

ADAPTER, WEIGHTS = "adapter", "weights"
_ADAPTER_FILE, _WEIGHTS_FILE = "adapter_model.safetensors", "model.safetensors"


def write_adapter(folder: Path, model: Any, weights: Mapping[str, Any]) -> str:  # noqa: ANN401 - PEFT is untyped
    """Writes adapter_config.json and adapter_model.safetensors and returns the latter's digest.

    Args:
        folder: Of the run.
        model: The unwrapped PEFT model, for its configuration.
        weights: The adapter's, by their names in the model.
    """
    config = model.peft_config["default"]
    # Embeddings are not trained; asked about them, PEFT would look the base up on the hub.
    state = get_peft_model_state_dict(model, dict(weights), save_embedding_layers=False)
    tensors = {name: each.contiguous() for name, each in state.items()}

    def write(target: Path) -> None:
        config.inference_mode = True
        config.save_pretrained(str(target))
        _save(tensors, target / _ADAPTER_FILE)

    replace_folder(folder / ADAPTER, write)
    return sha256_of(folder / ADAPTER / _ADAPTER_FILE)


def write_weights(folder: Path, texts: Mapping[str, str], weights: Mapping[str, Any]) -> str:
    """Writes all weights in float32 beside the base's text files and returns the weights' digest."""

    def write(target: Path) -> None:
        for name, text in texts.items():
            (target / name).write_text(text, encoding="utf-8")
        _save(weights, target / _WEIGHTS_FILE)

    replace_folder(folder / WEIGHTS, write)
    return sha256_of(folder / WEIGHTS / _WEIGHTS_FILE)


def _save(tensors: Mapping[str, Any], file: Path) -> None:
    save_file(dict(tensors), file, metadata={"format": "pt"})
    file.chmod(0o644)  # safetensors lets only the owner read
