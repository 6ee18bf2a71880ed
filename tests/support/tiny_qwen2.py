"""A tiny Qwen2 checkpoint with random weights, and what it computes, written out in numpy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import ml_dtypes
import numpy as np
from iterqr_server.models.gguf_tokenizer import tokenizer_from_gguf
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import pre_tokenizers

LAYERS = 2
THETA, EPSILON, CONTEXT = 10_000.0, 1e-6, 128
CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>")

Array = NDArray[np.float32]


_MERGES = ("h e", "l l", "he ll", "Ġ w", "< |", "| >")
_TOKENS = (
    *sorted(pre_tokenizers.ByteLevel.alphabet()),
    *(merge.replace(" ", "") for merge in _MERGES),
    *CONTROL_TOKENS,
)
VOCABULARY = len(_TOKENS)
_TOKEN_KINDS = (*[1] * (VOCABULARY - len(CONTROL_TOKENS)), *[3] * (len(CONTROL_TOKENS) - 1), 4)


def byte_tokenizer_json() -> str:
    """A tokenizer.json of Qwen2's kind: all bytes, a few merges, control tokens."""
    return tokenizer_from_gguf(_TOKENS, _TOKEN_KINDS, _MERGES)


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a tiny model."""

    hidden: int = 64
    heads: int = 4
    kv_heads: int = 2
    head_size: int = 16
    intermediate: int = 96


DEFAULT_SHAPE = Shape()


@dataclass(frozen=True, slots=True)
class TinyQwen2:
    """Weights by their Hugging Face names, in float32."""

    weights: dict[str, Array]
    tied: bool
    shape: Shape

    def save(self, folder: Path, shards: int = 1, dtype: Any = np.float32, **config: Any) -> Path:  # noqa: ANN401
        """Writes a Hugging Face folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.json").write_text(byte_tokenizer_json(), "utf-8")
        (folder / "config.json").write_text(json.dumps(_config(self.tied, self.shape) | config), "utf-8")
        (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|im_end|>"}), "utf-8")
        names = sorted(self.weights)
        for shard in range(shards):
            some = {name: self.weights[name].astype(dtype) for name in names[shard::shards]}
            save_file(some, folder / f"model-{shard + 1:05d}-of-{shards:05d}.safetensors")
        return folder

    def save_gguf(self, path: Path) -> Path:
        """Writes a GGUF file as llama.cpp's converter does, in float32."""
        shape, writer = self.shape, gguf.GGUFWriter(path, "qwen2")
        writer.add_block_count(LAYERS)
        writer.add_embedding_length(shape.hidden)
        writer.add_feed_forward_length(shape.intermediate)
        writer.add_head_count(shape.heads)
        writer.add_head_count_kv(shape.kv_heads)
        writer.add_key_length(shape.head_size)
        writer.add_context_length(CONTEXT)
        writer.add_rope_freq_base(THETA)
        writer.add_layer_norm_rms_eps(EPSILON)
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("qwen2")
        writer.add_token_list(_TOKENS)
        writer.add_token_types(_TOKEN_KINDS)
        writer.add_token_merges(_MERGES)
        writer.add_eos_token_id(_TOKENS.index("<|im_end|>"))
        writer.add_pad_token_id(_TOKENS.index("<|endoftext|>"))
        for name, values in self.weights.items():
            writer.add_tensor(_gguf_name(name), values)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    def logits(self, token_ids: list[int]) -> Array:
        """[tokens, vocabulary]: next-token logits after each token of one sequence."""
        w = self.weights
        x = w["model.embed_tokens.weight"][token_ids]
        for layer in range(LAYERS):
            name = f"model.layers.{layer}"
            normed = _rms_norm(x, w[f"{name}.input_layernorm.weight"])
            x = x + self._attention(f"{name}.self_attn", normed)
            normed = _rms_norm(x, w[f"{name}.post_attention_layernorm.weight"])
            gate = normed @ w[f"{name}.mlp.gate_proj.weight"].T
            up = normed @ w[f"{name}.mlp.up_proj.weight"].T
            x = x + (gate / (1 + np.exp(-gate)) * up) @ w[f"{name}.mlp.down_proj.weight"].T
        head = w["model.embed_tokens.weight" if self.tied else "lm_head.weight"]
        result: Array = _rms_norm(x, w["model.norm.weight"]) @ head.T
        return result

    def _attention(self, name: str, x: Array) -> Array:
        shape = self.shape

        def project(part: str, heads: int) -> Array:
            flat = x @ self.weights[f"{name}.{part}_proj.weight"].T + self.weights[f"{name}.{part}_proj.bias"]
            apart: Array = flat.reshape(len(x), heads, shape.head_size).swapaxes(0, 1)
            return apart

        query, key = _rotate(project("q", shape.heads)), _rotate(project("k", shape.kv_heads))
        key, value = (np.repeat(a, shape.heads // shape.kv_heads, axis=0) for a in (key, project("v", shape.kv_heads)))
        scores = query @ key.swapaxes(1, 2) / np.sqrt(shape.head_size)
        scores = np.where(np.tri(len(x), dtype=bool), scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        attended = (weights / weights.sum(-1, keepdims=True)) @ value
        result: Array = attended.swapaxes(0, 1).reshape(len(x), -1) @ self.weights[f"{name}.o_proj.weight"].T
        return result


def tiny_qwen2(*, tied: bool, seed: int = 0, shape: Shape = DEFAULT_SHAPE) -> TinyQwen2:
    """Random weights, large enough that attention and biases matter."""
    random = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> Array:
        return random.normal(0, 1.5 / np.sqrt(columns), (rows, columns)).astype(np.float32)

    def vector(size: int, centre: float) -> Array:
        return random.normal(centre, 0.3, size).astype(np.float32)

    hidden, q, kv = shape.hidden, shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    weights = {"model.embed_tokens.weight": matrix(VOCABULARY, hidden), "model.norm.weight": vector(hidden, 1)}
    if not tied:
        weights["lm_head.weight"] = matrix(VOCABULARY, hidden)
    for layer in range(LAYERS):
        name = f"model.layers.{layer}"
        for part, size in (("q", q), ("k", kv), ("v", kv)):
            weights[f"{name}.self_attn.{part}_proj.weight"] = matrix(size, hidden)
            weights[f"{name}.self_attn.{part}_proj.bias"] = vector(size, 0)
        weights[f"{name}.self_attn.o_proj.weight"] = matrix(hidden, q)
        weights[f"{name}.mlp.gate_proj.weight"] = matrix(shape.intermediate, hidden)
        weights[f"{name}.mlp.up_proj.weight"] = matrix(shape.intermediate, hidden)
        weights[f"{name}.mlp.down_proj.weight"] = matrix(hidden, shape.intermediate)
        weights[f"{name}.input_layernorm.weight"] = vector(hidden, 1)
        weights[f"{name}.post_attention_layernorm.weight"] = vector(hidden, 1)
    return TinyQwen2(weights, tied, shape)


BF16 = ml_dtypes.bfloat16


def _config(tied: bool, shape: Shape) -> dict[str, object]:
    return {
        "model_type": "qwen2",
        "hidden_act": "silu",
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_size,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": CONTEXT,
        "rope_theta": THETA,
        "rms_norm_eps": EPSILON,
        "tie_word_embeddings": tied,
    }


def _gguf_name(name: str) -> str:
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, LAYERS)
    found = names.get_name(name, try_suffixes=(".weight", ".bias"))
    assert found is not None
    return found


def _rms_norm(x: Array, weight: Array) -> Array:
    normed: Array = x / np.sqrt(np.square(x).mean(-1, keepdims=True) + EPSILON) * weight
    return normed


def _rotate(x: Array) -> Array:
    """Rotary embedding of [heads, tokens, head size], halves paired as Qwen2 pairs them."""
    half = x.shape[-1] // 2
    angles = np.outer(np.arange(x.shape[1]), THETA ** (-np.arange(half) / half)).astype(np.float32)
    cos, sin, low, high = np.cos(angles), np.sin(angles), x[..., :half], x[..., half:]
    return np.concatenate([low * cos - high * sin, high * cos + low * sin], axis=-1)
