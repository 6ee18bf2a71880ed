"""The double's `LLM`: checks what it is given as the real one does, then hands requests to the executor."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

from support.tensorrt_llm_double.executor import Behaviour, Executor
from support.tensorrt_llm_double.facts import api_facts, classes, fields_of
from support.tensorrt_llm_double.results import IterationResult, RequestOutput
from tokenizers import Tokenizer

COMPILED = "compiled"  # such a signature makes `inspect.signature` fail, as for the real one


class TokenRangeRetentionConfig:
    __signature__ = COMPILED

    def __init__(self, token_start: int, token_end: int | None, priority: int, duration_ms: object = None) -> None:
        assert duration_ms is None, "the double knows no durations"
        if not isinstance(token_start, int) or not (token_end is None or isinstance(token_end, int)):
            raise TypeError("incompatible function arguments")
        if not 0 <= priority <= 100:
            raise ValueError(f"priority {priority} is not in 0..100")
        self.token_start, self.token_end, self.priority = token_start, token_end, priority


class KvCacheRetentionConfig:
    __signature__ = COMPILED
    TokenRangeRetentionConfig = TokenRangeRetentionConfig

    def __init__(
        self,
        token_range_retention_configs: list[Any],
        decode_retention_priority: int = 35,
        decode_duration_ms: object = None,
    ) -> None:
        assert decode_duration_ms is None, "the double knows no durations"
        if not all(isinstance(each, TokenRangeRetentionConfig) for each in token_range_retention_configs):
            raise TypeError("incompatible function arguments")
        if not 0 <= decode_retention_priority <= 100:
            raise ValueError(f"decode_retention_priority {decode_retention_priority} is not in 0..100")
        self.token_range_retention_configs = token_range_retention_configs
        self.decode_retention_priority = decode_retention_priority


class LLM:
    """`behaviour` and `made` belong to the test that installed the double."""

    behaviour: Behaviour
    made: list[LLM]

    def __init__(self, model: str | Path, **kwargs: Any) -> None:  # noqa: ANN401
        legacy = set(api_facts()["classes"]["TrtLlmArgs"]["fields"]) - set(fields_of("TorchLlmArgs"))
        if found := sorted(legacy & set(kwargs)):
            raise ValueError(f"{found[0]} is an argument of the TensorRT engine backend")
        if unknown := sorted(set(kwargs) - set(fields_of("TorchLlmArgs"))):
            raise ValueError(f"unknown argument {unknown[0]}")
        if isinstance(kwargs.get("speculative_config"), dict):
            raise ValueError("speculative_config: a dict is ambiguous")
        self.args = classes()["TorchLlmArgs"](model=str(model), **kwargs)
        _check_combinations(self.args)
        tokenizer = Tokenizer.from_file(str(Path(model) / "tokenizer.json"))
        self._executor = Executor(self.args, tokenizer, self.behaviour)
        self._numbers = itertools.count(1)
        self.is_shut_down = False
        self.requests: list[dict[str, Any]] = []
        self.made.append(self)

    @property
    def executor(self) -> Executor:
        """For tests."""
        return self._executor

    def generate_async(
        self,
        inputs: Any,  # noqa: ANN401
        sampling_params: Any = None,  # noqa: ANN401
        lora_request: Any = None,  # noqa: ANN401
        prompt_adapter_request: Any = None,  # noqa: ANN401
        streaming: bool = False,
        kv_cache_retention_config: KvCacheRetentionConfig | None = None,
        disaggregated_params: Any = None,  # noqa: ANN401
        trace_headers: Any = None,  # noqa: ANN401
        _postproc_params: Any = None,  # noqa: ANN401
        scheduling_params: Any = None,  # noqa: ANN401
        cache_salt: str | None = None,
    ) -> RequestOutput:
        asyncio.get_running_loop()  # fails without one
        others = (lora_request, prompt_adapter_request, disaggregated_params, trace_headers, scheduling_params)
        assert all(each is None for each in others), "the double does not know what this would do"
        if self.is_shut_down or self._executor.error is not None:
            raise RuntimeError("LLM is shutting down") from self._executor.error
        if not isinstance(sampling_params, classes()["SamplingParams"]):
            raise TypeError(f"sampling_params: {type(sampling_params).__name__}")
        if not isinstance(inputs, list) or not all(isinstance(token, int) for token in inputs):
            raise TypeError("inputs: must be token ids")
        if not isinstance(cache_salt, str | None):
            raise TypeError("cache_salt: must be a string")
        if sampling_params.end_id is None and self.args.skip_tokenizer_init:
            raise ValueError("end_id is unset and there is no tokenizer")
        if len(inputs) > self.args.max_num_tokens and not self.args.enable_chunked_prefill:
            raise ValueError(f"the prompt has {len(inputs)} tokens, max_num_tokens is {self.args.max_num_tokens}")
        if len(inputs) + sampling_params.max_tokens > self.args.max_seq_len:
            raise ValueError(f"prompt and output exceed max_seq_len ({self.args.max_seq_len})")
        _check_guides(sampling_params.guided_decoding)
        if self.behaviour.refusals:
            raise ValueError(self.behaviour.refusals.pop(0))
        self.requests.append({"inputs": inputs, "sampling": sampling_params, "retention": kv_cache_retention_config})
        self.requests[-1] |= {"salt": cache_salt, "streaming": streaming}
        result = RequestOutput(next(self._numbers), inputs, self._executor.ask_abort)
        self._executor.statistics.expect_more()
        self._executor.enqueue(result, sampling_params, cache_salt, kv_cache_retention_config)
        return result

    def get_stats_async(self, timeout: float | None = 2) -> IterationResult:
        return self._executor.statistics.opened(timeout)

    def shutdown(self) -> None:
        self.is_shut_down = True
        self._executor.shutdown()


def _check_combinations(args: Any) -> None:  # noqa: ANN401
    """What the 1.2 code asserts, and the pairs of its matrix that do not work."""
    drafts = args.speculative_config
    if drafts is not None:
        assert isinstance(drafts, classes()["NGramDecodingConfig"]), "the double knows n-grams alone"
        assert drafts.max_draft_len is not None, "max_draft_len must be given"
        assert drafts.max_draft_len > 0, "max_draft_len must be positive"
        assert drafts.max_matching_ngram_size > 0, "max_matching_ngram_size must be positive"
        if args.pipeline_parallel_size > 1:
            raise ValueError("n-gram drafts do not work with pipeline parallelism")
    if args.guided_decoding_backend is not None:
        assert not args.skip_tokenizer_init, "guided decoding needs a tokenizer"
    if args.lora_config is not None and args.cuda_graph_config is not None:
        raise ValueError("LoRA does not work with CUDA graphs")
    graphs = args.cuda_graph_config
    if graphs is not None and graphs.batch_sizes and graphs.max_batch_size:
        raise ValueError("give batch_sizes or max_batch_size, not both")


def _check_guides(asked: Any) -> None:  # noqa: ANN401
    if asked is None:
        return
    given = [name for name in ("json", "regex", "grammar", "json_object", "structural_tag") if getattr(asked, name)]
    if len(given) != 1:
        raise ValueError(f"exactly one guide may be given, got {given}")
