"""The engine for TensorRT-LLM over its strict double: what it asks for, and what it makes of what comes back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import grpc
import iterqr_server
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2_grpc as pb_grpc
from iterqr_proto.rewrite_format import RewriteInput, grammar, render
from iterqr_server.backends import tensorrt_llm
from iterqr_server.backends.tensorrt_llm import create_engine
from iterqr_server.backends.tensorrt_llm_arguments import Made, generate_arguments, llm_arguments
from iterqr_server.engine.errors import EngineFatalError, RequestFailedError, RequestRefusedError
from iterqr_server.engine.interface import FinishReason, GenerationChunk, GenerationRequest, ScoreRequest
from iterqr_server.engine.request_level import RequestLevelEngine
from iterqr_server.engine.request_runner import RunnerRequest
from iterqr_server.models.hf_checkpoint import HfCheckpoint
from iterqr_server.rewrite.generation_request import generation_request
from structlog.testing import capture_logs
from support.engine_conformance import TEMPLATE, WARM_UP, StepControl, score_request
from support.engines_under_test import script
from support.grpc_calls import failure_of
from support.rewrite_server import running_server
from support.tensorrt_llm_double.facts import api_facts, fields_of
from support.tensorrt_llm_double.installing import Double, installed_double, settings_for_double
from tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class Started:
    engine: RequestLevelEngine
    double: Double
    control: StepControl

    async def chunks(self, query: str, tenant: str = "") -> list[GenerationChunk]:
        return [chunk async for chunk in self.engine.submit(asked(query, tenant))]

    async def text(self, query: str, tenant: str = "") -> str:
        return "".join(chunk.text for chunk in await self.chunks(query, tenant))


def asked(query: str, tenant: str = "", name: str = "") -> GenerationRequest:
    source = RewriteInput(query)
    return generation_request(
        name or f"{tenant}/{query}",
        source,
        render(TEMPLATE, source),
        max_rewrites=2,
        max_new_tokens=1000,
        tenant=tenant,
    )


@asynccontextmanager
async def started(
    folder: Path, behaviour: Mapping[str, Any] | None = None, **sections: Mapping[str, Any]
) -> AsyncIterator[Started]:
    control = StepControl()
    with installed_double(folder, script) as double:
        double.behaviour.before_step = control
        for name, value in (behaviour or {}).items():
            setattr(double.behaviour, name, value)
        engine = create_engine(double.checkpoint, settings_for_double(**sections))
        assert double.llms == []  # the library is not touched before the start
        try:
            await engine.start(WARM_UP)
            yield Started(engine, double, control)
        finally:
            control.gate.open()
            await engine.close()


async def test_all_that_bounds_the_library_is_given(tmp_path: Path) -> None:
    async with started(tmp_path, engine={"max_running": 3}, tensorrt_llm={"max_num_tokens": 512}) as up:
        assert up.double.llm.args.kv_cache_config.max_tokens is None
        args = up.double.llm.args
    assert (args.max_batch_size, args.max_num_tokens, args.max_seq_len) == (3, 512, 4096)
    assert args.cuda_graph_config.max_batch_size == 3
    assert args.cuda_graph_config.enable_padding
    assert args.enable_chunked_prefill
    assert args.attn_backend == "TRTLLM"
    assert args.scheduler_config.capacity_scheduler_policy.name == "GUARANTEED_NO_EVICT"
    cache = args.kv_cache_config
    assert (cache.enable_block_reuse, cache.enable_partial_reuse, cache.tokens_per_block) == (True, True, 32)
    assert (cache.free_gpu_memory_fraction, cache.dtype) == (0.85, "auto")
    drafts = args.speculative_config
    assert (drafts.max_draft_len, drafts.max_matching_ngram_size, drafts.is_public_pool) == (3, 3, False)


async def test_the_cache_may_be_bounded(tmp_path: Path) -> None:
    async with started(tmp_path, tensorrt_llm={"kv_max_tokens": 8192}) as up:
        assert up.double.llm.args.kv_cache_config.max_tokens == 8192


async def test_the_instruction_fills_whole_blocks_that_are_kept_first(tmp_path: Path) -> None:
    async with started(tmp_path) as up:
        chunks = await up.chunks("soup")
        request = up.double.llm.requests[-1]
        tokenizer = Tokenizer.from_file(str(up.double.checkpoint / "tokenizer.json"))
        stats = up.engine.stats()
    (kept,) = request["retention"].token_range_retention_configs
    assert (kept.token_start, kept.priority, request["retention"].decode_retention_priority) == (0, 100, 0)
    assert kept.token_end % 32 == 0
    prefix = tokenizer.decode(request["inputs"][: kept.token_end], skip_special_tokens=False)
    instruction = "".join(segment.text for segment in render(TEMPLATE, RewriteInput("soup")).prefix)
    filler = prefix.removesuffix(instruction)
    assert prefix != filler
    assert filler == "<|endoftext|>" * filler.count("<|endoftext|>")
    assert filler.count("<|endoftext|>") < 32
    assert chunks[0].prompt_tokens == len(request["inputs"])
    assert stats.prefix_tokens_reused_total >= kept.token_end


async def test_a_prefix_that_is_not_found_again_is_logged(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with started(tmp_path / "a"):
            pass
        assert [line["event"] for line in logs] == []
        with patch("support.tensorrt_llm_double.kv_cache.BlockTree.keep"):
            async with started(tmp_path / "b") as up:
                assert await up.text("soup")
    (line,) = logs
    assert (line["event"], line["reused_tokens"]) == ("prefix_not_reused", 0)


async def test_a_long_instruction_may_be_left_as_it_is(tmp_path: Path) -> None:
    async with started(tmp_path, tensorrt_llm={"pad_prefix": False}) as up:
        await up.text("soup")
        request = up.double.llm.requests[-1]
        tokenizer = Tokenizer.from_file(str(up.double.checkpoint / "tokenizer.json"))
    assert tokenizer.decode(request["inputs"], skip_special_tokens=False) == render(TEMPLATE, RewriteInput("soup")).text


async def test_tenants_share_no_cache(tmp_path: Path) -> None:
    async with started(tmp_path) as up:
        reused = []
        for tenant in ("a", "b", "a"):
            before = up.engine.stats().prefix_tokens_reused_total
            await up.text("soup", tenant)
            reused.append(up.engine.stats().prefix_tokens_reused_total - before)
        salts = [request["salt"] for request in up.double.llm.requests]
    assert salts[-3:] == ["a", "b", "a"]
    assert salts[0] is None
    assert reused[0] == reused[1] == 0 < reused[2]


async def test_requests_are_greedy_streamed_and_held_to_the_format(tmp_path: Path) -> None:
    async with started(tmp_path) as up:
        text = await up.text("soup")
        request = up.double.llm.requests[-1]
    sampling = request["sampling"]
    assert text == "fix: soup\nintent: eat\nmeaning: soup dish\nrw: soup bowl\nrw: soup set"
    assert request["streaming"]
    assert sampling.guided_decoding.regex == grammar(2, "soup")
    assert (sampling.temperature, sampling.top_k, sampling.top_p) == (None, None, None)
    assert (sampling.max_tokens, sampling.logprobs, sampling.detokenize) == (1000, 1, False)


async def test_control_tokens_in_a_query_stay_text(tmp_path: Path) -> None:
    async with started(tmp_path) as up:
        await up.text("x<|im_end|>y")
        inputs = up.double.llm.requests[-1]["inputs"]
        tokenizer = Tokenizer.from_file(str(up.double.checkpoint / "tokenizer.json"))
    ends = sum(token == tokenizer.token_to_id("<|im_end|>") for token in inputs)
    assert ends == render(TEMPLATE, RewriteInput("x")).text.count("<|im_end|>")


async def test_drafts_change_no_text_and_save_steps(tmp_path: Path) -> None:
    async with started(tmp_path / "a") as up:
        drafted = await up.text("chicken soup")
        steps = up.double.llm.executor.statistics
        await asyncio.sleep(0.05)
        (source,) = up.engine.stats().drafts
        with_drafts = up.engine.stats().steps_total
        assert steps.times_opened >= 1
    async with started(tmp_path / "b", tensorrt_llm={"max_draft_len": 0}) as up:
        plain = await up.text("chicken soup")
        assert up.double.llm.args.speculative_config is None
        await asyncio.sleep(0.05)
        assert up.engine.stats().drafts == ()
        without = up.engine.stats().steps_total
    assert drafted == plain
    assert source.source == "ngram"
    assert 0 < source.accepted <= source.proposed
    assert with_drafts < without


@pytest.mark.parametrize("keeps_end_token", [False, True])
async def test_the_token_that_ends_a_turn_is_no_text(tmp_path: Path, keeps_end_token: bool) -> None:
    async with started(tmp_path, {"keeps_end_token": keeps_end_token}) as up:
        chunks = [chunk async for chunk in up.engine.submit(GenerationRequest("a", WARM_UP, 500))]
    assert "".join(chunk.text for chunk in chunks).endswith("rw: warm up set")
    assert chunks[-1].finish_reason is FinishReason.STOP
    assert sum(len(chunk.token_ids) for chunk in chunks) == len("".join(chunk.text for chunk in chunks))


async def test_scores_ask_for_every_beginning_of_an_answer(tmp_path: Path) -> None:
    async with started(tmp_path) as up:
        ((yes, no),) = await up.engine.score(score_request("chicken soup"))
        sampling = up.double.llm.requests[-1]["sampling"]
    assert (sampling.guided_decoding.regex, sampling.max_tokens, sampling.logprobs) == ("Yes|No", 1, len("YesNo"))
    assert yes - no == pytest.approx(20.0)


async def test_a_request_that_fails_leaves_others_alone(tmp_path: Path) -> None:
    async with started(tmp_path) as up:
        expected = await up.text("tea")
        up.control.gate.close()
        up.double.fail_next("out of blocks")
        failing = up.engine.submit(asked("soup"))
        await asyncio.sleep(0)
        fine = asyncio.create_task(up.text("tea"))
        up.control.gate.open()
        with pytest.raises(RequestFailedError, match="out of blocks"):
            [chunk async for chunk in failing]
        assert await fine == expected
        assert await up.text("soup")
        assert up.engine.stats().running == 0


async def test_what_the_library_refuses_is_the_callers_fault_and_not_repeated(tmp_path: Path) -> None:
    async with started(tmp_path) as up:
        up.double.behaviour.refusals.append("sampling_params: secret")
        with pytest.raises(RequestRefusedError) as caught:
            await up.text("soup")
        assert "secret" not in str(caught.value)
        assert await up.text("soup")


@pytest.mark.parametrize("guide", ["(secret", "(s"])
async def test_a_guide_that_does_not_compile_is_not_repeated(tmp_path: Path, guide: str) -> None:
    async with started(tmp_path) as up:
        failing = up.engine.submit(GenerationRequest("a", WARM_UP, 5, guide=guide))
        with pytest.raises(RequestFailedError, match=r"failed on the request: RequestError$"):
            [chunk async for chunk in failing]
        assert await up.text("soup")


async def test_an_aborted_request_keeps_its_place_until_the_library_says_so(tmp_path: Path) -> None:
    async with started(tmp_path, engine={"max_running": 2}) as up:
        up.control.gate.close()
        streams = [up.engine.submit(asked(query)) for query in ("soup", "tea", "pho")]
        await up.control.gate.arrived()
        up.engine.abort("/soup")
        assert [chunk.finish_reason async for chunk in streams[0]] == [FinishReason.ABORTED]
        assert (up.engine.stats().running, up.engine.stats().waiting) == (2, 1)
        up.control.gate.open()
        assert [[chunk async for chunk in stream][-1].finish_reason for stream in streams[1:]] == [
            FinishReason.STOP
        ] * 2
        assert up.double.llm.executor.largest_batch == 2
        assert up.double.llm.executor.cancelled == 1


async def test_a_request_aborted_before_it_was_handed_over_never_is(tmp_path: Path) -> None:
    async with started(tmp_path) as up:
        before = len(up.double.llm.requests)
        stream = up.engine.submit(asked("soup"))
        up.engine.abort("/soup")
        assert [chunk.finish_reason async for chunk in stream] == [FinishReason.ABORTED]
        await up.text("tea")
        assert len(up.double.llm.requests) == before + 1


async def test_a_library_that_hangs_is_broken(tmp_path: Path) -> None:
    async with started(tmp_path, tensorrt_llm={"stall_timeout_s": 1}) as up:
        up.double.behaviour.is_silent = True
        with pytest.raises(EngineFatalError, match="a request got nothing for 1 s"):
            await up.text("soup")
        with pytest.raises(EngineFatalError):
            up.engine.submit(asked("tea"))


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ({"ignores_guides": True}, "does not work: an output that was to be 'ok' has "),
        ({"gives_no_logprobs": True}, "does not work: the library gave 0 probabilities for 1 tokens"),
        ({"failures": ["no kernel image"]}, "does not work: TensorRT-LLM failed on the request: no kernel image"),
    ],
)
async def test_a_library_that_does_not_do_what_it_is_asked_never_gets_ready(
    tmp_path: Path, behaviour: dict[str, Any], message: str
) -> None:
    with pytest.raises(EngineFatalError, match=message):
        async with started(tmp_path, behaviour):
            pytest.fail("started")


async def test_a_model_that_does_not_load_is_fatal(tmp_path: Path) -> None:
    with installed_double(tmp_path, script) as double:
        engine = create_engine(double.checkpoint, settings_for_double())
        (double.checkpoint / "tokenizer.json").write_text("{}")
        with pytest.raises(EngineFatalError, match="the model could not be loaded: "):
            await engine.start(WARM_UP)
        await engine.close()


async def test_statistics_have_one_reader_that_opens_the_stream_again(tmp_path: Path) -> None:
    with (
        patch.object(tensorrt_llm, "_STATS_TIMEOUT_S", 0.02),
        patch.object(tensorrt_llm, "_STATS_PAUSE_S", 0.0),
    ):
        async with started(tmp_path) as up:
            told = up.double.llm.executor.statistics
            opened = told.times_opened
            async with asyncio.timeout(20):
                while told.times_opened < opened + 3:  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.01)
            before = up.engine.stats().steps_total
            await up.text("soup")
            await asyncio.sleep(0.05)
            assert up.engine.stats().steps_total > before > 0
            assert up.engine.stats().kv_positions_limit == 4096 * 32


async def test_close_shuts_the_library_down(tmp_path: Path) -> None:
    async with started(tmp_path) as up:
        await up.engine.close()
        assert up.double.llm.is_shut_down


def arguments_by_class() -> dict[str, set[str]]:
    """Every name that is passed, with all that a configuration and a request may have."""
    settings = settings_for_double(tensorrt_llm={"kv_max_tokens": 8192})
    checkpoint = HfCheckpoint(Path("checkpoint"), "checkpoint", 4096, None)
    llm = llm_arguments(checkpoint, settings.engine, settings.tensorrt_llm)
    generate = generate_arguments(RunnerRequest(1, (1,), 1, 1, guide="a", salt="a"), 1, frozenset({1, 2}))
    found = {"TorchLlmArgs": set(llm), "LLM.generate_async": set(generate)}
    rest: list[object] = [*llm.values(), *generate.values()]
    while rest:
        value = rest.pop()
        if isinstance(value, Made):
            found.setdefault(value.name, set()).update(value.arguments)
            rest += [*value.arguments.values(), *value.positional]
        elif isinstance(value, list):
            rest += value
    return found


def test_every_name_is_in_the_facts_and_all_but_one_confirmed_for_1_2() -> None:
    passed = arguments_by_class()
    assert passed.pop("LLM.generate_async") <= set(api_facts()["functions"]["LLM.generate_async"]["parameters"])
    unsure = set()
    for name, arguments in passed.items():
        known = fields_of(name)
        assert arguments <= set(known)
        unsure |= {f"{name}.{each}" for each in arguments if known[each]["in_1_2"] not in ("confirmed", "bracketed")}
    assert unsure == {"KvCacheRetentionConfig.decode_retention_priority"}
    assert len(passed) == 9


def test_the_models_name_tells_what_changes_its_outputs(tmp_path: Path) -> None:
    with installed_double(tmp_path, script) as double:
        names = [
            create_engine(double.checkpoint, settings_for_double(tensorrt_llm=fields)).model_id
            for fields in ({}, {"kv_cache_dtype": "fp8"}, {"tokens_per_block": 64}, {"pad_prefix": False})
        ]
    assert names[0].startswith("checkpoint-")
    endings = ["-trtllm1.2.1-kv-auto-pad32", "-kv-fp8-pad32", "-kv-auto-pad64", "-kv-auto"]
    assert all(name.endswith(ending) for name, ending in zip(names, endings, strict=True))


def test_one_file_imports_the_library() -> None:
    root = Path(iterqr_server.__file__).parent
    importing = [
        str(path.relative_to(root))
        for path in sorted(root.rglob("*.py"))
        if re.search(r"^\s*(import|from) tensorrt_llm\b|import_module\(", path.read_text("utf-8"), re.MULTILINE)
    ]
    assert importing == ["backends/tensorrt_llm.py"]


def test_at_the_deadline_the_server_has_what_is_whole(tmp_path: Path) -> None:
    """The last line is missing when the reply leaves; it is cached for the next caller."""
    control = StepControl()
    with installed_double(tmp_path, script) as double:
        double.behaviour.before_step = control
        engine = create_engine(double.checkpoint, settings_for_double(tensorrt_llm={"max_draft_len": 0}))
        overrides = {"rewrite": {"reply_margin_ms": 1500}}
        with running_server(engine, overrides=overrides) as server, grpc.insecure_channel(server.address) as channel:
            stub = pb_grpc.QueryRewriteServiceStub(channel)
            control.gate.close()
            call = stub.RewriteQuery.future(pb.RewriteQueryRequest(query="soup"), timeout=3)
            server.wait_until(lambda: server.metric("iterqr_engine_running") > 0)
            control.gate.let(len("fix: soup\nintent: eat\nmeaning: soup dish\nrw: soup bowl\n"))
            partial = call.result()
            assert [rewrite.text for rewrite in partial.rewrites] == ["soup bowl"]
            control.gate.open()
            server.wait_until(lambda: server.metric("iterqr_generations_total", end="complete") > 0)
            whole = stub.RewriteQuery(pb.RewriteQueryRequest(query="soup"), timeout=10)
            assert [rewrite.text for rewrite in whole.rewrites] == ["soup bowl", "soup set"]


def test_a_broken_library_ends_serving_and_a_failed_request_does_not(tmp_path: Path) -> None:
    control = StepControl()
    with installed_double(tmp_path, script) as double:
        double.behaviour.before_step = control
        engine = create_engine(double.checkpoint, settings_for_double())
        with running_server(engine) as server, grpc.insecure_channel(server.address) as channel:
            stub = pb_grpc.QueryRewriteServiceStub(channel)
            health: Any = health_pb2_grpc.HealthStub(channel)

            def rewrite(query: str) -> pb.RewriteQueryResponse:
                return stub.RewriteQuery(pb.RewriteQueryRequest(query=query), timeout=10)

            double.fail_next("out of blocks")
            failure = failure_of(lambda: rewrite("soup"))
            assert failure.code is grpc.StatusCode.INTERNAL
            assert "out of blocks" not in failure.details
            assert rewrite("tea").rewrites
            control.failure = "CUDA error: an illegal memory access was encountered"
            failure = failure_of(lambda: rewrite("pho"))
            assert failure.code is grpc.StatusCode.UNAVAILABLE
            assert failure.details == "the engine failed and the server is stopping"
            request = health_pb2.HealthCheckRequest()
            server.wait_until(lambda: health.Check(request).status == health_pb2.HealthCheckResponse.NOT_SERVING)
            server.run(asyncio.wait_for(server.application.failed(), 20))


async def test_no_prompts_have_no_scores(tmp_path: Path) -> None:
    async with started(tmp_path) as up:
        assert await up.engine.score(ScoreRequest("s", (), ("Yes", "No"))) == ()
