"""The model that is trained: the base's weights in transformers' Qwen2, with a LoRA adapter or without."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from iterqr_server.models.builder import weights_digest
from iterqr_server.models.errors import ModelError
from iterqr_server.models.hf_files import hf_files
from iterqr_server.models.progress import ProgressListener
from iterqr_server.models.store import find_weights
from iterqr_server.models.weights import open_weights
from peft import LoraConfig, get_peft_model
from transformers import Qwen2Config, Qwen2ForCausalLM
from transformers.initialization import no_init_weights

from iterqr_training.errors import BaseModelError
from iterqr_training.train.settings import LORA_MODULES, Method, Precision, TrainSettings


@dataclass(frozen=True, slots=True)
class BaseModel:
    """Where a base is, its digest, and the text files of its Hugging Face folder by name."""

    name: str
    path: Path
    sha256: str
    files: dict[str, str]

    @property
    def tokenizer_json(self) -> str:
        """The tokenizer."""
        return self.files["tokenizer.json"]


def best_precision() -> Precision:
    """Returns what this machine is fastest with: `Precision.AUTO` resolved."""
    if torch.cuda.is_available():
        return Precision.BF16 if torch.cuda.is_bf16_supported(including_emulation=False) else Precision.FP32
    multiplies_in_bf16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # noqa: SLF001
    return Precision.BF16 if multiplies_in_bf16 else Precision.FP32


def find_base(name: str, listener: ProgressListener) -> BaseModel:
    """Finds the base, fetches it if need be, and takes its digest.

    Raises:
        BaseModelError: It cannot be found, fetched, trusted, or is no Qwen2.5 checkpoint.
    """
    try:
        found = find_weights(name, listener)
        return BaseModel(name, found.path, weights_digest(found, listener), hf_files(found.path))
    except ModelError as error:
        raise BaseModelError(f"base: {error}") from error


def load_base(base: BaseModel, dtype: torch.dtype, listener: ProgressListener) -> Any:  # noqa: ANN401 - torch is untyped
    """Returns a Qwen2ForCausalLM with the base's weights, dequantized; one tensor at a time is in memory twice.

    Raises:
        BaseModelError: A tensor is missing or of another shape.
    """
    try:
        weights = open_weights(base.path)
    except ModelError as error:
        raise BaseModelError(f"base: {error}") from error
    config = Qwen2Config(**json.loads(base.files["config.json"]))
    with no_init_weights():
        model = Qwen2ForCausalLM._from_config(config, attn_implementation="sdpa", dtype=dtype)  # noqa: SLF001
    model.tie_weights()
    parameters = dict(model.named_parameters())
    listener.stage("load base", len(parameters))
    with torch.no_grad():
        for name, parameter in parameters.items():
            try:
                values = torch.from_numpy(weights.tensor(name).copy())
            except ModelError as error:
                raise BaseModelError(f"base: {error}") from error
            if values.shape != parameter.shape:
                raise BaseModelError(f"base: {name} has shape {list(values.shape)}, must have {list(parameter.shape)}")
            parameter.copy_(values)
            listener.advance(1)
    return model


def trainable_model(base: BaseModel, settings: TrainSettings, *, sharded: bool, listener: ProgressListener) -> Any:  # noqa: ANN401
    """Returns the model to train. New adapter weights are drawn from PyTorch's generator, which the caller seeds.

    With LoRA in bf16 the frozen weights are bf16 and the adapter float32; sharded (FSDP) all must be of one kind, so
    that they are float32 there and only computed with in bf16.
    """
    frozen_bf16 = settings.precision is Precision.BF16 and settings.method is Method.LORA and not sharded
    model = load_base(base, torch.bfloat16 if frozen_bf16 else torch.float32, listener)
    model.config.use_cache = False
    if settings.gradient_checkpointing:
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    if settings.method is Method.FULL:
        return model
    model.name_or_path = base.name
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=list(LORA_MODULES),
        bias="none",
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():  # PEFT 0.21 asks transformers 5.24 by an old name
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        return get_peft_model(model, config)
