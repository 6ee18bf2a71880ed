"""What lies beside a model's weights in a Hugging Face folder: config.json and the tokenizer's files.

From a folder they are copied; from a GGUF file they are made of its metadata, as Qwen2.5's own folders have them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf

from iterqr_server.models.architecture import Architecture
from iterqr_server.models.errors import UnsupportedModelError
from iterqr_server.models.weights import Weights, open_weights

CONFIG_FILE = "config.json"
_COPIED = (
    CONFIG_FILE,
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)
_CONTROL, _USER_DEFINED = 3, 4  # token types of GGUF


def hf_files(path: Path) -> dict[str, str]:
    """Returns the text of every file but the weights, by name; config.json and tokenizer.json are always among them.

    Raises:
        UnsupportedModelError: a file is missing, or `path` is no Qwen2.5 checkpoint.
    """
    weights = open_weights(path)
    if path.is_dir():
        texts = {name: (path / name).read_text("utf-8") for name in _COPIED if (path / name).is_file()}
        return texts | {"tokenizer.json": weights.tokenizer_json()}
    return _from_gguf(path, weights)


def qwen2_config(architecture: Architecture, *, tied: bool, end_token: int | None = None) -> dict[str, Any]:
    """Returns the config.json of an architecture, under names that transformers 4.37 and later read."""
    config: dict[str, Any] = {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_act": "silu",
        "hidden_size": architecture.hidden,
        "intermediate_size": architecture.intermediate,
        "num_hidden_layers": architecture.layers,
        "num_attention_heads": architecture.heads,
        "num_key_value_heads": architecture.kv_heads,
        "head_dim": architecture.head_size,
        "vocab_size": architecture.vocabulary,
        "max_position_embeddings": architecture.context,
        "rope_theta": architecture.rope_theta,
        "rms_norm_eps": architecture.norm_epsilon,
        "tie_word_embeddings": tied,
        "use_sliding_window": False,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "use_cache": True,
    }
    return config if end_token is None else config | {"eos_token_id": end_token}


def _from_gguf(path: Path, weights: Weights) -> dict[str, str]:
    reader = gguf.GGUFReader(path)
    fields = {
        name: field.contents()
        for name in ("tokens", "token_type", "eos_token_id", "padding_token_id", "bos_token_id")
        if (field := reader.get_field(f"tokenizer.ggml.{name}")) is not None
    }
    for name in ("tokens", "token_type"):
        if name not in fields:
            raise UnsupportedModelError(f"{path}: metadata key 'tokenizer.ggml.{name}' is missing")
    template = reader.get_field("tokenizer.chat_template")
    end, padding = fields.get("eos_token_id"), fields.get("padding_token_id")
    config = qwen2_config(weights.architecture, tied=not weights.has_own_head, end_token=end)
    if (begin := fields.get("bos_token_id")) is not None:
        config["bos_token_id"] = begin
    generation: dict[str, Any] = {"do_sample": False}
    if end is not None:
        generation["eos_token_id"] = sorted({end, padding} - {None})
        generation["pad_token_id"] = end if padding is None else padding
    tokenizer = _tokenizer_config(fields, weights.architecture.context)
    if template is not None:
        tokenizer["chat_template"] = template.contents()
    return {
        CONFIG_FILE: _json(config),
        "generation_config.json": _json(generation),
        "tokenizer.json": weights.tokenizer_json(),
        "tokenizer_config.json": _json(tokenizer),
    }


def _tokenizer_config(fields: Mapping[str, Any], context: int) -> dict[str, Any]:
    tokens, kinds = fields["tokens"], fields["token_type"]
    added = {
        str(i): {
            "content": tokens[i],
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": True,
        }
        for i, kind in enumerate(kinds)
        if kind in (_CONTROL, _USER_DEFINED)
    }
    names = {"eos_token": fields.get("eos_token_id"), "pad_token": fields.get("padding_token_id")}
    return {
        "tokenizer_class": "Qwen2Tokenizer",
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": added,
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "errors": "replace",
        "model_max_length": context,
        "split_special_tokens": False,
        "unk_token": None,
        **{name: tokens[i] for name, i in names.items() if i is not None},
    }


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
