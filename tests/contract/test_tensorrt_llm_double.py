"""The double of TensorRT-LLM is as strict as the real one is said to be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from support.engines_under_test import script
from support.tensorrt_llm_double.installing import Double, installed_double
from support.tensorrt_llm_double.llm import KvCacheRetentionConfig
from tokenizers import Tokenizer


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    with installed_double(tmp_path, script) as found:
        yield found


def llmapi() -> Any:  # noqa: ANN401
    import tensorrt_llm.llmapi  # type: ignore[import-not-found]  # noqa: PLC0415

    return tensorrt_llm.llmapi


def made(double: Double, **kwargs: Any) -> Any:  # noqa: ANN401
    limits = {"max_batch_size": 2, "max_num_tokens": 64, "max_seq_len": 128}
    return llmapi().LLM(double.checkpoint, **{**limits, **kwargs})


def prompt_of(double: Double, text: str = "<|im_start|>user\nquery: a<|im_end|>\n<|im_start|>assistant\n") -> list[int]:
    return list(Tokenizer.from_file(str(double.checkpoint / "tokenizer.json")).encode(text).ids)


def test_it_is_gone_after_the_test(tmp_path: Path) -> None:
    with installed_double(tmp_path, script):
        llmapi()
    with pytest.raises(ModuleNotFoundError):
        llmapi()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"max_batchsize": 2}, "unknown argument max_batchsize"),
        ({"quant_config": None}, "quant_config is an argument of the TensorRT engine backend"),
        ({"batching_type": "INFLIGHT"}, "batching_type is an argument of the TensorRT engine backend"),
        ({"max_batch_size": "many"}, "max_batch_size"),
        ({"guided_decoding_backend": "outlines"}, "guided_decoding_backend"),
        ({"speculative_config": {"decoding_type": "NGram"}}, "a dict is ambiguous"),
        ({"stream_interval": None}, "stream_interval"),
    ],
)
def test_wrong_arguments_fail_as_value_errors(double: Double, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(double, **kwargs)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"max_draft_len": 3}, "max_matching_ngram_size must be positive"),
        ({"max_matching_ngram_size": 3}, "max_draft_len must be given"),
        ({"max_draft_len": 0, "max_matching_ngram_size": 3}, "max_draft_len must be positive"),
    ],
)
def test_drafts_need_their_sizes(double: Double, sizes: dict[str, int], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        made(double, speculative_config=llmapi().NGramDecodingConfig(**sizes))


def test_combinations_that_do_not_work(double: Double) -> None:
    api = llmapi()
    drafts = api.NGramDecodingConfig(max_draft_len=3, max_matching_ngram_size=3)
    with pytest.raises(ValueError, match="pipeline parallelism"):
        made(double, speculative_config=drafts, pipeline_parallel_size=2)
    with pytest.raises(AssertionError, match="guided decoding needs a tokenizer"):
        made(double, guided_decoding_backend="xgrammar", skip_tokenizer_init=True)
    with pytest.raises(ValueError, match="LoRA does not work with CUDA graphs"):
        made(double, lora_config=api.LoraConfig(), cuda_graph_config=api.CudaGraphConfig())
    with pytest.raises(ValueError, match="not both"):
        made(double, cuda_graph_config=api.CudaGraphConfig(batch_sizes=[1], max_batch_size=1))


def test_configurations_refuse_what_they_do_not_know() -> None:
    from support.tensorrt_llm_double.facts import classes  # noqa: PLC0415

    made_of = classes()
    for name, wrong in (
        ("KvCacheConfig", {"block_size": 32}),
        ("KvCacheConfig", {"use_kv_cache_manager_v2": True}),  # not in 1.2
        ("KvCacheConfig", {"tokens_per_block": "many"}),
        ("SchedulerConfig", {"capacity_scheduler_policy": "GREEDY"}),
        ("NGramDecodingConfig", {"max_draft_len": "three"}),
    ):
        with pytest.raises(ValidationError):
            made_of[name](**wrong)
    with pytest.raises(TypeError):
        made_of["SamplingParams"](max_new_tokens=5)
    with pytest.raises(ValidationError):
        made_of["SamplingParams"](max_tokens="5")
    with pytest.raises(TypeError):
        made_of["SamplingParams"](5)  # keywords only
    with pytest.raises(TypeError):
        KvCacheRetentionConfig([(0, 32, 100)])
    with pytest.raises(ValueError, match="priority 101"):
        KvCacheRetentionConfig.TokenRangeRetentionConfig(0, 32, 101, None)


async def test_wrong_requests_fail_before_they_are_queued(double: Double) -> None:
    api, llm, prompt = llmapi(), made(double, enable_chunked_prefill=False), prompt_of(double)
    guide = api.GuidedDecodingParams(regex="a", grammar="b")
    with pytest.raises(ValueError, match="exactly one guide"):
        llm.generate_async(prompt, api.SamplingParams(guided_decoding=guide))
    with pytest.raises(TypeError, match="sampling_params"):
        llm.generate_async(prompt, {"max_tokens": 5})
    with pytest.raises(TypeError, match="cache_salt"):
        llm.generate_async(prompt, api.SamplingParams(), cache_salt=7)
    with pytest.raises(TypeError, match="deadline"):
        llm.generate_async(prompt, api.SamplingParams(), deadline=7)
    with pytest.raises(ValueError, match="max_num_tokens is 64"):
        llm.generate_async(prompt * 3, api.SamplingParams())
    with pytest.raises(ValueError, match="max_seq_len"):
        llm.generate_async(prompt, api.SamplingParams(max_tokens=1000))
    llm.shutdown()
    with pytest.raises(RuntimeError, match="shutting down"):
        llm.generate_async(prompt, api.SamplingParams())


def test_a_request_needs_a_running_loop(double: Double) -> None:
    llm, prompt = made(double), prompt_of(double)
    with pytest.raises(RuntimeError, match="no running event loop"):
        llm.generate_async(prompt, llmapi().SamplingParams())


async def test_a_result_is_one_object_and_an_abort_only_asks(double: Double) -> None:
    api, llm = llmapi(), made(double)
    result = llm.generate_async(prompt_of(double), api.SamplingParams(max_tokens=50, logprobs=1), streaming=True)
    assert await anext(result) is result
    seen = len(result.outputs[0].token_ids)
    result.abort()
    assert result.aborted()
    assert not result.finished
    states = [state async for state in result]
    assert all(state is result for state in states)
    assert result.outputs[0].finish_reason == "cancelled"
    assert len(result.outputs[0].token_ids) >= seen == 1
    result.abort()  # finished: ignored
    llm.shutdown()


async def test_a_guide_without_a_backend_is_ignored(double: Double) -> None:
    api, llm = llmapi(), made(double)
    sampling = api.SamplingParams(max_tokens=3, logprobs=1, guided_decoding=api.GuidedDecodingParams(regex="zz"))
    result = llm.generate_async(prompt_of(double), sampling, streaming=True)
    async for _ in result:
        pass
    assert result.outputs[0].token_ids == prompt_of(double, "fix")
    llm.shutdown()


async def test_statistics_need_their_switch_and_a_request(double: Double) -> None:
    api = llmapi()
    for is_on in (False, True):
        llm = made(double, enable_iter_perf_stats=is_on)
        assert [told async for told in llm.get_stats_async(timeout=0.02)] == []
        result = llm.generate_async(prompt_of(double), api.SamplingParams(max_tokens=3, logprobs=1), streaming=True)
        async for _ in result:
            pass
        await asyncio.sleep(0.02)
        assert len([told async for told in llm.get_stats_async(timeout=0.02)]) == (3 if is_on else 0)
        llm.shutdown()


async def test_an_ended_stream_of_statistics_waits_for_the_next_request(double: Double) -> None:
    llm = made(double, enable_iter_perf_stats=True)
    llm.generate_async(prompt_of(double), llmapi().SamplingParams(max_tokens=1, logprobs=1), streaming=True)
    for expected in (1, 0):
        assert len([told async for told in llm.get_stats_async(timeout=0.05)]) == expected
    llm.generate_async(prompt_of(double), llmapi().SamplingParams(max_tokens=1, logprobs=1), streaming=True)
    assert len([told async for told in llm.get_stats_async(timeout=0.05)]) == 1
    llm.shutdown()


async def test_two_readers_of_statistics_are_one_too_many(double: Double) -> None:
    llm = made(double, enable_iter_perf_stats=True)
    readers = [asyncio.create_task(anext(llm.get_stats_async(timeout=0.1))) for _ in range(2)]
    ended = await asyncio.gather(*readers, return_exceptions=True)
    assert [type(each) for each in ended] == [StopAsyncIteration, AssertionError]
