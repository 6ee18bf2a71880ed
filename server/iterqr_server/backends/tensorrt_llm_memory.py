"""How much GPU memory one more TensorRT-LLM model takes. Pure arithmetic; only `engine-check --swap` on a GPU can tell.

For its key/value cache the library takes a share of what is free once the weights are loaded, so what a second model
gets depends on what the first left. It is enough if it holds as many whole requests as run at a time.
"""

from __future__ import annotations

import math

from iterqr_server.config import EngineConfig, TensorRtLlmConfig
from iterqr_server.models.architecture import Architecture

_BFLOAT16, _FLOAT32, _FP8 = 2, 4, 1  # bytes
_LIBRARY_BYTES = 2 << 30
"""CUDA context, libraries, recorded graphs and the allocator's slack, on each GPU."""


def second_model_bytes(
    shapes: Architecture, weights_bytes: int, engine: EngineConfig, config: TensorRtLlmConfig, *, has_fp8_cache: bool
) -> int:
    """Returns the bytes that must be free on each GPU before a model is loaded beside another.

    `weights_bytes` are those of its files. What is left of the free memory after weights and work space, times
    `kv_memory_fraction`, must hold `max_running` requests of `max_seq_len` tokens, or `kv_max_tokens` if that is less.
    """
    gpus = config.tensor_parallel_size
    kv_heads = math.ceil(shapes.kv_heads / gpus)  # where there are more GPUs than heads, each has one
    number = _FP8 if has_fp8_cache else _BFLOAT16
    of_token = 2 * shapes.layers * kv_heads * shapes.head_size * number
    tokens = engine.max_running * config.max_seq_len
    tokens = min(tokens, config.kv_max_tokens or tokens)
    cache = of_token * tokens / config.kv_memory_fraction
    activations = config.max_num_tokens * (2 * shapes.intermediate + 4 * shapes.hidden) * _BFLOAT16
    logits = engine.max_running * (1 + config.max_draft_len) * shapes.vocabulary * _FLOAT32
    return math.ceil(weights_bytes / gpus + cache + activations + logits) + _LIBRARY_BYTES
