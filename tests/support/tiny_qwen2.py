"""A tiny Qwen2 checkpoint with random weights, and what it computes, written out in numpy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from iterqr_server.models.gguf_tokenizer import tokenizer_from_gguf
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import pre_tokenizers

HIDDEN, HEADS, KV_HEADS, HEAD_SIZE, LAYERS, INTERMEDIATE = 64, 4, 2, 16, 2, 96
THETA, EPSILON = 10_000.0, 1e-6
CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>")

Array = NDArray[np.float32]


def byte_tokenizer_json() -> str:
    """A tokenizer.json of Qwen2's kind: all bytes, a few merges, control tokens."""
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "he", "ll", "hell", "Ġw", "<|", "|>"]
    kinds = [1] * len(tokens) + [3] * (len(CONTROL_TOKENS) - 1) + [4]
    merges = ["h e", "l l", "he ll", "Ġ w", "< |", "| >"]
    return tokenizer_from_gguf([*tokens, *CONTROL_TOKENS], kinds, merges)


VOCABULARY = 256 + 6 + len(CONTROL_TOKENS)


@dataclass(frozen=True, slots=True)
class TinyQwen2:
    """Weights by their Hugging Face names, in float32."""

    weights: dict[str, Array]
    tied: bool

    def save(self, folder: Path, shards: int = 1, dtype: Any = np.float32, **config: Any) -> Path:  # noqa: ANN401
        """Writes a Hugging Face folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.json").write_text(byte_tokenizer_json(), "utf-8")
        (folder / "config.json").write_text(json.dumps(_config(self.tied) | config), "utf-8")
        names = sorted(self.weights)
        for shard in range(shards):
            some = {name: self.weights[name].astype(dtype) for name in names[shard::shards]}
            save_file(some, folder / f"model-{shard + 1:05d}-of-{shards:05d}.safetensors")
        return folder

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
        def project(part: str, heads: int) -> Array:
            flat = x @ self.weights[f"{name}.{part}_proj.weight"].T + self.weights[f"{name}.{part}_proj.bias"]
            apart: Array = flat.reshape(len(x), heads, HEAD_SIZE).swapaxes(0, 1)
            return apart

        query, key = _rotate(project("q", HEADS)), _rotate(project("k", KV_HEADS))
        key, value = (np.repeat(a, HEADS // KV_HEADS, axis=0) for a in (key, project("v", KV_HEADS)))
        scores = query @ key.swapaxes(1, 2) / np.sqrt(HEAD_SIZE)
        scores = np.where(np.tri(len(x), dtype=bool), scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        attended = (weights / weights.sum(-1, keepdims=True)) @ value
        result: Array = attended.swapaxes(0, 1).reshape(len(x), -1) @ self.weights[f"{name}.o_proj.weight"].T
        return result


def tiny_qwen2(*, tied: bool, seed: int = 0) -> TinyQwen2:
    """Random weights, large enough that attention and biases matter."""
    random = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> Array:
        return random.normal(0, 1.5 / np.sqrt(columns), (rows, columns)).astype(np.float32)

    def vector(size: int, centre: float) -> Array:
        return random.normal(centre, 0.3, size).astype(np.float32)

    q, kv = HEADS * HEAD_SIZE, KV_HEADS * HEAD_SIZE
    weights = {"model.embed_tokens.weight": matrix(VOCABULARY, HIDDEN), "model.norm.weight": vector(HIDDEN, 1)}
    if not tied:
        weights["lm_head.weight"] = matrix(VOCABULARY, HIDDEN)
    for layer in range(LAYERS):
        name = f"model.layers.{layer}"
        for part, size in (("q", q), ("k", kv), ("v", kv)):
            weights[f"{name}.self_attn.{part}_proj.weight"] = matrix(size, HIDDEN)
            weights[f"{name}.self_attn.{part}_proj.bias"] = vector(size, 0)
        weights[f"{name}.self_attn.o_proj.weight"] = matrix(HIDDEN, q)
        weights[f"{name}.mlp.gate_proj.weight"] = matrix(INTERMEDIATE, HIDDEN)
        weights[f"{name}.mlp.up_proj.weight"] = matrix(INTERMEDIATE, HIDDEN)
        weights[f"{name}.mlp.down_proj.weight"] = matrix(HIDDEN, INTERMEDIATE)
        weights[f"{name}.input_layernorm.weight"] = vector(HIDDEN, 1)
        weights[f"{name}.post_attention_layernorm.weight"] = vector(HIDDEN, 1)
    return TinyQwen2(weights, tied)


BF16 = ml_dtypes.bfloat16


def _config(tied: bool) -> dict[str, object]:
    return {
        "model_type": "qwen2",
        "hidden_act": "silu",
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 128,
        "rope_theta": THETA,
        "rms_norm_eps": EPSILON,
        "tie_word_embeddings": tied,
    }


def _rms_norm(x: Array, weight: Array) -> Array:
    normed: Array = x / np.sqrt(np.square(x).mean(-1, keepdims=True) + EPSILON) * weight
    return normed


def _rotate(x: Array) -> Array:
    """Rotary embedding of [heads, tokens, head size], halves paired as Qwen2 pairs them."""
    half = HEAD_SIZE // 2
    angles = np.outer(np.arange(x.shape[1]), THETA ** (-np.arange(half) / half)).astype(np.float32)
    cos, sin, low, high = np.cos(angles), np.sin(angles), x[..., :half], x[..., half:]
    return np.concatenate([low * cos - high * sin, high * cos + low * sin], axis=-1)
