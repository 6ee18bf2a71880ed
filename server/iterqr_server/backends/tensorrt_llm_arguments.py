"""What TensorRT-LLM is asked for, as data: what the engine hands over and what its self-check compares is one thing.

Field names and defaults are those of release 1.2. Nothing here imports the library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from iterqr_server.backends.nvidia_gpu import Gpu
from iterqr_server.config import ConfigError, EngineConfig, Settings, TensorRtLlmConfig
from iterqr_server.engine.request_runner import RunnerRequest
from iterqr_server.models.errors import UnsupportedModelError
from iterqr_server.models.hf_checkpoint import HfCheckpoint

PREFIX_PRIORITY = 100  # of 0 to 100; blocks of the least priority go first, and there is no pin
DECODE_PRIORITY = 0
_OLDEST = (8, 0)  # compute capability: bfloat16
_OLDEST_FP8 = (8, 9)


@dataclass(frozen=True, slots=True)
class Made:
    """An object of the library, to be made when it is there. `name` may be that of a nested class, with a dot."""

    name: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    positional: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """A member of one of the library's enumerations."""

    enumeration: str
    name: str


def check_settings(settings: Settings) -> None:
    """Raises ConfigError if fields that are fine by themselves do not fit together with TensorRT-LLM."""
    engine, library = settings.engine, settings.tensorrt_llm
    least = engine.max_running * (1 + library.max_draft_len)
    if library.max_num_tokens < least:
        raise ConfigError(
            f"tensorrt_llm.max_num_tokens: must be at least engine.max_running x (1 + tensorrt_llm.max_draft_len), "
            f"{least}, got {library.max_num_tokens}"
        )
    if settings.rewrite.max_new_tokens >= library.max_seq_len:
        raise ConfigError(
            f"tensorrt_llm.max_seq_len: must be more than rewrite.max_new_tokens ({settings.rewrite.max_new_tokens}), "
            f"got {library.max_seq_len}"
        )
    if 0 < library.kv_max_tokens < library.max_seq_len:
        raise ConfigError(
            f"tensorrt_llm.kv_max_tokens: must be 0 or at least tensorrt_llm.max_seq_len ({library.max_seq_len}), "
            f"got {library.kv_max_tokens}"
        )
    if settings.model.output_vocabulary != "full":
        raise ConfigError("model.output_vocabulary: must be full with engine.backend tensorrt_llm")
    if engine.device_id != 0:
        raise ConfigError(
            "engine.device_id: must be 0 with engine.backend tensorrt_llm, which takes the GPUs that "
            "CUDA_VISIBLE_DEVICES names"
        )


def check_checkpoint(checkpoint: HfCheckpoint, config: TensorRtLlmConfig, gpus: tuple[Gpu, ...]) -> None:
    """Raises UnsupportedModelError if the checkpoint does not run as configured on these GPUs."""
    if checkpoint.context < config.max_seq_len:
        raise UnsupportedModelError(
            f"tensorrt_llm.max_seq_len: must be at most the model's {checkpoint.context}, got {config.max_seq_len}"
        )
    if len(gpus) < config.tensor_parallel_size:
        raise UnsupportedModelError(
            f"tensorrt_llm.tensor_parallel_size: must be at most the number of GPUs ({len(gpus)}), "
            f"got {config.tensor_parallel_size}"
        )
    for gpu in gpus[: config.tensor_parallel_size]:
        if checkpoint.weights_bytes / config.tensor_parallel_size > gpu.memory_bytes:
            raise UnsupportedModelError(
                f"{checkpoint.folder}: its weights are {checkpoint.weights_bytes >> 20} MB on "
                f"{config.tensor_parallel_size} GPU(s); {gpu.name} has {gpu.memory_bytes >> 20} MB"
            )
        quantization = checkpoint.quantization
        is_fp8 = config.kv_cache_dtype == "fp8" or (
            quantization is not None
            and (quantization.algorithm in ("FP8", "W4A8_AWQ") or quantization.kv_cache_algorithm == "FP8")
        )
        oldest = _OLDEST_FP8 if is_fp8 else _OLDEST
        if gpu.capability < oldest:
            kind = "FP8 weights or key/value cache" if is_fp8 else "its weights"
            raise UnsupportedModelError(
                f"{checkpoint.folder}: {kind} need a GPU of compute capability {_dotted(oldest)}; "
                f"{gpu.name} has {_dotted(gpu.capability)}"
            )


def llm_arguments(checkpoint: HfCheckpoint, engine: EngineConfig, config: TensorRtLlmConfig) -> dict[str, object]:
    """Returns the keywords of `LLM`. All that bounds memory or batches is given, never left to a default."""
    arguments: dict[str, object] = {
        "model": str(checkpoint.folder),
        "tensor_parallel_size": config.tensor_parallel_size,
        "max_batch_size": engine.max_running,
        "max_num_tokens": config.max_num_tokens,
        "max_seq_len": config.max_seq_len,
        "enable_chunked_prefill": True,
        "attn_backend": "TRTLLM",  # another one would turn block reuse off
        "guided_decoding_backend": config.guided_decoding_backend,
        "enable_iter_perf_stats": True,
        "kv_cache_config": Made(
            "KvCacheConfig",
            {
                "enable_block_reuse": True,
                "enable_partial_reuse": True,
                "tokens_per_block": config.tokens_per_block,
                "free_gpu_memory_fraction": config.kv_memory_fraction,
                "dtype": config.kv_cache_dtype,
            }
            | ({"max_tokens": config.kv_max_tokens} if config.kv_max_tokens else {}),
        ),
        "scheduler_config": Made(
            "SchedulerConfig",
            {"capacity_scheduler_policy": Member("CapacitySchedulerPolicy", "GUARANTEED_NO_EVICT")},
        ),
        "cuda_graph_config": Made("CudaGraphConfig", {"enable_padding": True, "max_batch_size": engine.max_running})
        if config.cuda_graphs
        else None,
    }
    if config.max_draft_len:
        arguments["speculative_config"] = Made(
            "NGramDecodingConfig",
            {
                "max_draft_len": config.max_draft_len,
                "max_matching_ngram_size": config.draft_ngram_size,
                "is_public_pool": False,  # guesses come from a request's own text alone
            },
        )
    return arguments


def generate_arguments(request: RunnerRequest, end_id: int, stop_ids: frozenset[int]) -> dict[str, object]:
    """Returns the keywords of `LLM.generate_async`. Greedy, as neither temperature nor top-k nor top-p is given."""
    sampling: dict[str, object] = {
        "max_tokens": request.max_new_tokens,
        "end_id": end_id,
        "pad_id": end_id,
        "stop_token_ids": sorted(stop_ids - {end_id}) or None,
        "logprobs": request.likeliest,
        "detokenize": False,
        "add_special_tokens": False,
    }
    if request.guide:
        sampling["guided_decoding"] = Made("GuidedDecodingParams", {"regex": request.guide})
    arguments: dict[str, object] = {
        "inputs": list(request.prompt_ids),
        "sampling_params": Made("SamplingParams", sampling),
        "streaming": True,
    }
    if request.shared:
        kept = Made(
            "KvCacheRetentionConfig.TokenRangeRetentionConfig", positional=(0, request.shared, PREFIX_PRIORITY, None)
        )
        arguments["kv_cache_retention_config"] = Made(
            "KvCacheRetentionConfig", {"decode_retention_priority": DECODE_PRIORITY}, positional=([kept],)
        )
    if request.salt:
        arguments["cache_salt"] = request.salt
    return arguments


def _dotted(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"
