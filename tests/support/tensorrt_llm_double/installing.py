"""Makes `import tensorrt_llm` find the double, for the time of a test."""

from __future__ import annotations

import importlib.machinery
import json
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from iterqr_server.backends.nvidia_gpu import Gpu
from iterqr_server.config import Settings, settings_from
from iterqr_server.models.architecture import Architecture
from iterqr_server.models.gguf_tokenizer import tokenizer_from_gguf
from iterqr_server.models.hf_files import qwen2_config
from safetensors.numpy import save_file
from support.tensorrt_llm_double.executor import Behaviour
from support.tensorrt_llm_double.facts import classes
from support.tensorrt_llm_double.llm import LLM, KvCacheRetentionConfig
from support.tensorrt_llm_double.results import CompletionOutput, RequestError, RequestOutput
from tokenizers import pre_tokenizers

VERSION = "1.2.1"
SHAPES = Architecture(
    layers=2,
    hidden=64,
    intermediate=128,
    heads=4,
    kv_heads=2,
    head_size=16,
    vocabulary=262,
    context=32768,
    rope_theta=1e6,
    norm_epsilon=1e-6,
)
HOPPER = Gpu("NVIDIA H100", (9, 0), 80 << 30)
_CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_MERGES = ("Y e", "Ye s", "N o")
_TOKENS = (*sorted(pre_tokenizers.ByteLevel.alphabet()), *(m.replace(" ", "") for m in _MERGES), *_CONTROL)


@dataclass(slots=True)
class Double:
    """The installed double. `checkpoint` is a folder that it loads; `llms` are those made so far."""

    checkpoint: Path
    behaviour: Behaviour
    llms: list[LLM]

    @property
    def llm(self) -> LLM:
        """The latest."""
        return self.llms[-1]

    def fail_next(self, message: str) -> None:
        """The next request that starts to run ends with a RequestError."""
        self.behaviour.failures.append(message)


def tokenizer_json() -> str:
    """A byte-level tokenizer with the control tokens of chats and one token for each scoring answer."""
    kinds = [1] * (len(_TOKENS) - len(_CONTROL)) + [3] * len(_CONTROL)
    return tokenizer_from_gguf(_TOKENS, kinds, _MERGES)


def write_checkpoint(folder: Path, quantization: Mapping[str, Any] | None = None) -> Path:
    """Writes a Hugging Face folder that is whole but for its weights, which are next to nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    config = qwen2_config(SHAPES, tied=True)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    (folder / "tokenizer.json").write_text(tokenizer_json(), "utf-8")
    save_file({"model.norm.weight": np.ones(4, np.float32)}, folder / "model.safetensors")
    if quantization is not None:
        document = {"producer": {"name": "modelopt", "version": "0.37.0"}, "quantization": quantization}
        (folder / "hf_quant_config.json").write_text(json.dumps(document), "utf-8")
    return folder


def settings_for_double(**sections: Mapping[str, Any]) -> Settings:
    """Settings with room for prompts of one token a byte."""
    values: dict[str, dict[str, Any]] = {
        "engine": {"backend": "tensorrt_llm", "max_running": 4, "max_waiting": 8},
        "tensorrt_llm": {"max_seq_len": 4096},
        "rewrite": {"max_new_tokens": 1000},
    }
    for name, fields in sections.items():
        values[name] = {**values.get(name, {}), **fields}
    return settings_from(values)


@contextmanager
def installed_double(folder: Path, script: Callable[[str], str], gpus: tuple[Gpu, ...] = (HOPPER,)) -> Iterator[Double]:
    """Installs a double whose model answers with `script`, on a host with these GPUs."""
    behaviour, made = Behaviour(script), list[LLM]()
    llm = type("LLM", (LLM,), {"behaviour": behaviour, "made": made})
    package, llmapi = types.ModuleType("tensorrt_llm"), types.ModuleType("tensorrt_llm.llmapi")
    package.__spec__ = importlib.machinery.ModuleSpec("tensorrt_llm", None)
    public: dict[str, Any] = {
        "LLM": llm,
        "RequestOutput": RequestOutput,
        "CompletionOutput": CompletionOutput,
        "RequestError": RequestError,
        "KvCacheRetentionConfig": KvCacheRetentionConfig,
    }
    public |= {name: found for name, found in classes().items() if isinstance(found, type) and name[0].isupper()}
    for name, found in public.items():
        setattr(llmapi, name, found)
    vars(package).update(
        {"__version__": VERSION, "llmapi": llmapi, "LLM": llm, "SamplingParams": public["SamplingParams"]}
    )
    with (
        patch.dict(sys.modules, {"tensorrt_llm": package, "tensorrt_llm.llmapi": llmapi}),
        patch("iterqr_server.backends.tensorrt_llm.find_gpus", lambda: gpus),
        patch("iterqr_server.backends.tensorrt_llm.installed_version", lambda: VERSION),
    ):
        yield Double(write_checkpoint(folder / "checkpoint"), behaviour, made)
