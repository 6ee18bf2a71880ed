"""Reads checkpoints, one tensor at a time, as float32, under the names Hugging Face gives Qwen2's tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import gguf
import ml_dtypes  # noqa: F401 - lets numpy know bfloat16, which safetensors needs
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from iterqr_server.models.architecture import Architecture
from iterqr_server.models.errors import UnsupportedModelError
from iterqr_server.models.gguf_tokenizer import tokenizer_from_gguf


class Weights(Protocol):
    """A checkpoint on disk."""

    @property
    def architecture(self) -> Architecture:
        """Its shapes."""
        ...

    @property
    def has_own_head(self) -> bool:
        """Whether `lm_head.weight` exists; otherwise the embedding table stands for it (tied)."""
        ...

    def tensor(self, name: str) -> NDArray[np.float32]:
        """Reads one tensor, dequantized, in [out, in] order for matrices.

        Raises:
            UnsupportedModelError: there is none of that name, or it has a kind that cannot be read.
        """
        ...

    def tokenizer_json(self) -> str:
        """The tokenizer, as the `tokenizers` library writes it."""
        ...


_GGUF_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_GGUF_LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def _gguf_name(name: str) -> str:
    if name in _GGUF_NAMES:
        return _GGUF_NAMES[name]
    _, _, layer, rest = name.split(".", 3)
    part, _, kind = rest.rpartition(".")
    return f"blk.{layer}.{_GGUF_LAYER_NAMES[part]}.{kind}"


class GgufWeights:
    """A GGUF file of architecture `qwen2`, in any quantization the gguf package can dequantize."""

    def __init__(self, path: Path) -> None:
        try:
            self._reader = gguf.GGUFReader(path)
        except ValueError as error:
            raise UnsupportedModelError(f"{path}: not a GGUF file: {error}") from error
        self._tensors = {tensor.name: tensor for tensor in self._reader.tensors}
        self._path = path
        kind = self._field("general.architecture")
        if kind != "qwen2":
            raise UnsupportedModelError(f"{path}: architecture is {kind!r}; only 'qwen2' is supported")
        if (scaling := self._optional("qwen2.rope.scaling.type")) not in (None, "none"):
            raise UnsupportedModelError(f"{path}: rope scaling {scaling!r} is not supported")
        heads, hidden = self._field("qwen2.attention.head_count"), self._field("qwen2.embedding_length")
        self.architecture = Architecture(
            layers=self._field("qwen2.block_count"),
            hidden=hidden,
            intermediate=self._field("qwen2.feed_forward_length"),
            heads=heads,
            kv_heads=self._field("qwen2.attention.head_count_kv"),
            head_size=self._optional("qwen2.attention.key_length") or hidden // heads,
            vocabulary=int(self._tensors["token_embd.weight"].shape[1]),
            context=self._field("qwen2.context_length"),
            rope_theta=self._field("qwen2.rope.freq_base"),
            norm_epsilon=self._field("qwen2.attention.layer_norm_rms_epsilon"),
        )

    def _optional(self, key: str) -> Any:  # noqa: ANN401 - whatever the file holds
        field = self._reader.get_field(key)
        return None if field is None else field.contents()

    def _field(self, key: str) -> Any:  # noqa: ANN401 - whatever the file holds
        value = self._optional(key)
        if value is None:
            raise UnsupportedModelError(f"{self._path}: metadata key {key!r} is missing")
        return value

    @property
    def has_own_head(self) -> bool:
        """See `Weights`."""
        return "output.weight" in self._tensors

    def tensor(self, name: str) -> NDArray[np.float32]:
        """See `Weights`."""
        tensor = self._tensors.get(_gguf_name(name))
        if tensor is None:
            raise UnsupportedModelError(f"{self._path}: tensor {_gguf_name(name)!r} is missing")
        try:
            values = gguf.dequantize(tensor.data, tensor.tensor_type)
        except NotImplementedError as error:
            kind = tensor.tensor_type.name
            raise UnsupportedModelError(f"{self._path}: {name}: cannot read quantization {kind}") from error
        return values.astype(np.float32, copy=False)

    def tokenizer_json(self) -> str:
        """See `Weights`."""
        model, pre = self._field("tokenizer.ggml.model"), self._field("tokenizer.ggml.pre")
        if (model, pre) != ("gpt2", "qwen2"):
            raise UnsupportedModelError(f"{self._path}: tokenizer {model}/{pre}; only gpt2/qwen2 is supported")
        return tokenizer_from_gguf(
            tokens=self._field("tokenizer.ggml.tokens"),
            kinds=self._field("tokenizer.ggml.token_type"),
            merges=self._field("tokenizer.ggml.merges"),
        )


class SafetensorsWeights:
    """A Hugging Face folder: config.json, tokenizer.json, and one or more .safetensors files (float32, 16 or bf16)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        config = _read_json(folder / "config.json")
        opened = [_open_shard(shard) for shard in _shards(folder)]
        self._shard_of = {name: shard for shard in opened for name in shard.keys()}  # noqa: SIM118 - not a dict
        self._tied = bool(config.get("tie_word_embeddings", False))
        self.architecture = architecture_of_config(config, folder)

    @property
    def has_own_head(self) -> bool:
        """See `Weights`."""
        return not self._tied and "lm_head.weight" in self._shard_of

    def tensor(self, name: str) -> NDArray[np.float32]:
        """See `Weights`."""
        shard = self._shard_of.get(name)
        if shard is None:
            raise UnsupportedModelError(f"{self._folder}: tensor {name!r} is missing")
        values: NDArray[Any] = shard.get_tensor(name)
        return values.astype(np.float32, copy=False)

    def tokenizer_json(self) -> str:
        """See `Weights`."""
        path = self._folder / "tokenizer.json"
        if not path.is_file():
            raise UnsupportedModelError(f"{path}: is missing")
        return path.read_text("utf-8")


def architecture_of_config(config: Mapping[str, Any], folder: Path) -> Architecture:
    """Returns the shapes that a Hugging Face folder's config.json states.

    Raises:
        UnsupportedModelError: it is not of the Qwen2 family, or has parts that cannot be built.
    """
    if (kind := config.get("model_type")) != "qwen2":
        raise UnsupportedModelError(f"{folder}: model_type is {kind!r}; only 'qwen2' is supported")
    if config.get("rope_scaling"):
        raise UnsupportedModelError(f"{folder}: rope_scaling is not supported")
    if config.get("use_sliding_window"):
        raise UnsupportedModelError(f"{folder}: use_sliding_window is not supported")
    if (activation := config.get("hidden_act", "silu")) != "silu":
        raise UnsupportedModelError(f"{folder}: hidden_act is {activation!r}; only 'silu' is supported")
    rope = config.get("rope_parameters") or {}
    try:
        return Architecture(
            layers=config["num_hidden_layers"],
            hidden=config["hidden_size"],
            intermediate=config["intermediate_size"],
            heads=config["num_attention_heads"],
            kv_heads=config["num_key_value_heads"],
            head_size=config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"],
            vocabulary=config["vocab_size"],
            context=config["max_position_embeddings"],
            rope_theta=float(config.get("rope_theta") or rope["rope_theta"]),
            norm_epsilon=config["rms_norm_eps"],
        )
    except KeyError as error:
        raise UnsupportedModelError(f"{folder / 'config.json'}: {error.args[0]} is missing") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UnsupportedModelError(f"{path}: is missing") from error
    except json.JSONDecodeError as error:
        raise UnsupportedModelError(f"{path}: not JSON: {error}") from error
    if not isinstance(loaded, dict):
        raise UnsupportedModelError(f"{path}: must be a JSON object")
    return loaded


def _open_shard(path: Path) -> Any:  # noqa: ANN401 - the library's handle has no type
    try:
        return safe_open(path, framework="numpy")
    except (SafetensorError, OSError) as error:
        raise UnsupportedModelError(f"{path}: truncated or no safetensors file: {error}") from error


def _shards(folder: Path) -> list[Path]:
    shards = sorted(folder.glob("*.safetensors"))
    if not shards:
        raise UnsupportedModelError(f"{folder}: holds no .safetensors file")
    return shards


def weight_files(path: Path) -> tuple[Path, ...]:
    """Returns every file that a model built from `path` depends on, in a fixed order.

    Raises:
        UnsupportedModelError: a folder that lacks one of them.
    """
    if not path.is_dir():
        return (path,)
    files = (path / "config.json", path / "tokenizer.json", *_shards(path))
    for file in files:
        if not file.is_file():
            raise UnsupportedModelError(f"{file}: is missing")
    return files


def open_weights(path: Path) -> Weights:
    """Opens a .gguf file or a folder with safetensors files.

    Raises:
        UnsupportedModelError: it is neither, or not of the Qwen2 family.
    """
    if path.is_dir():
        return SafetensorsWeights(path)
    return GgufWeights(path)
