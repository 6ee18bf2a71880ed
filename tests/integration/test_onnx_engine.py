"""The engine with the real model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from iterqr_proto.rewrite_format import Prompt, RewriteInput, Segment, grammar, load_template, parse, render
from iterqr_server.backends.onnxruntime import create_engine
from iterqr_server.engine.interface import FinishReason, GenerationEngine, GenerationRequest
from iterqr_server.engine.settings import EngineSettings
from iterqr_server.engine.tokenizer import BytePairTokenizer
from iterqr_server.rewrite.drafts import expected_texts

pytestmark = [pytest.mark.model, pytest.mark.timeout(900), pytest.mark.asyncio(loop_scope="module")]

QUERIES = {
    "chiken tikka masla": ("Chicken Tikka Masala", "Butter Chicken"),
    "something warm for a sore throat": ("Ginger Tea", "Chicken Noodle Soup"),
    "gluten free pasta": ("Rice Penne Arrabbiata",),
    "mcdonlds": (),
    "soupe à l'oignon": ("French Onion Soup",),
    "brekky burrito": ("Breakfast Burrito",),
    "poke bowl no fish": ("Tofu Poke Bowl",),
    "辣 noodles": ("Dan Dan Noodles", "Chongqing Noodles"),
}
TEMPLATE = load_template()


def prompt_of(query: str) -> Prompt:
    return render(TEMPLATE, RewriteInput(query, QUERIES[query]))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(model_folder: Path) -> AsyncIterator[GenerationEngine]:
    engine = create_engine(model_folder, EngineSettings(max_running=8))
    await engine.start(render(TEMPLATE, RewriteInput("warm up")))
    yield engine
    await engine.close()


@pytest.fixture(scope="module")
def tokenizer(model_folder: Path) -> BytePairTokenizer:
    return BytePairTokenizer((model_folder / "tokenizer.json").read_text("utf-8"))


@dataclass(frozen=True)
class Output:
    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason | None


async def generate(engine: GenerationEngine, query: str, guide: str = "", drafts: tuple[str, ...] = ()) -> Output:
    request = GenerationRequest(query, prompt_of(query), max_new_tokens=64, guide=guide, drafts=drafts)
    chunks = [chunk async for chunk in engine.submit(request)]
    return Output(
        text="".join(chunk.text for chunk in chunks),
        token_ids=sum((chunk.token_ids for chunk in chunks), ()),
        logprobs=sum((chunk.logprobs for chunk in chunks), ()),
        finish_reason=chunks[-1].finish_reason,
    )


async def test_outputs_alone_and_together_are_the_same(engine: GenerationEngine) -> None:
    alone = [await generate(engine, query) for query in QUERIES]
    assert await asyncio.gather(*(generate(engine, query) for query in QUERIES)) == alone
    assert await asyncio.gather(*(generate(engine, query) for query in reversed(QUERIES))) == alone[::-1]


async def test_drafts_change_no_output_and_save_steps(engine: GenerationEngine, model_folder: Path) -> None:
    plain = create_engine(model_folder, EngineSettings(max_running=8, max_draft_rows=0))
    await plain.start(render(TEMPLATE, RewriteInput("warm up")))
    try:
        one_by_one = [await generate(plain, query, grammar(3, query)) for query in QUERIES]
        plain_steps = plain.stats().steps_total
    finally:
        await plain.close()
    before = engine.stats().steps_total
    drafts = {query: expected_texts(RewriteInput(query, hints)) for query, hints in QUERIES.items()}
    assert [await generate(engine, query, grammar(3, query), drafts[query]) for query in QUERIES] == one_by_one
    assert engine.stats().steps_total - before < plain_steps / 2
    together = (generate(engine, query, grammar(3, query), drafts[query]) for query in QUERIES)
    assert await asyncio.gather(*together) == one_by_one


async def test_an_abort_in_between_changes_no_other_output(engine: GenerationEngine) -> None:
    queries = list(QUERIES)[:3]
    alone = [await generate(engine, query) for query in queries]
    doomed = engine.submit(GenerationRequest("doomed", prompt_of("mcdonlds"), max_new_tokens=64))
    tasks = [asyncio.create_task(generate(engine, query)) for query in queries]
    await anext(doomed)
    engine.abort("doomed")
    late = asyncio.create_task(generate(engine, "brekky burrito"))
    assert [await task for task in tasks] == alone
    assert (await late).finish_reason is FinishReason.STOP


async def test_the_instruction_prefix_is_computed_once(engine: GenerationEngine, tokenizer: BytePairTokenizer) -> None:
    before = engine.stats()
    await asyncio.gather(*(generate(engine, query) for query in list(QUERIES)[:4]))
    after = engine.stats()
    prefix = len(tokenizer.encode(prompt_of("mcdonlds").prefix))
    whole_blocks = prefix - prefix % EngineSettings().block_positions
    assert after.prefix_tokens_reused_total - before.prefix_tokens_reused_total >= 4 * whole_blocks
    assert after.prompt_tokens_total - before.prompt_tokens_total > 4 * prefix
    assert (after.running, after.waiting) == (0, 0)


async def test_the_untuned_model_follows_the_format_mostly(engine: GenerationEngine) -> None:
    outputs = [parse((await generate(engine, query)).text) for query in QUERIES]
    assert sum(output.has_chain_of_thought for output in outputs) >= len(QUERIES) - 1


async def test_guided_outputs_always_have_a_rewrite(engine: GenerationEngine) -> None:
    outputs = await asyncio.gather(*(generate(engine, query, grammar(3)) for query in QUERIES))
    for output in outputs:
        if output.finish_reason is FinishReason.STOP:
            assert parse(output.text).rewrites
            assert parse(output.text).has_chain_of_thought


async def test_log_probabilities_are_those_of_likely_tokens(engine: GenerationEngine) -> None:
    output = await generate(engine, "gluten free pasta")
    assert len(output.logprobs) == len(output.token_ids)
    assert all(-5 < logprob <= 0 for logprob in output.logprobs)


@pytest.mark.parametrize(
    ("text", "token_ids"),
    [
        ("Hello, world!", (9707, 11, 1879, 0)),
        ("<|im_start|>user\nhi<|im_end|>\n", (151644, 872, 198, 6023, 151645, 198)),
        ("2024", (17, 15, 17, 19)),
        (" \n\n x", (4710, 856)),
    ],
)
async def test_known_encodings(tokenizer: BytePairTokenizer, text: str, token_ids: tuple[int, ...]) -> None:
    assert tokenizer.encode([Segment(text)]) == token_ids


@pytest.mark.parametrize("text", ["naïve café 北京 🍜", "  two  spaces", "I'LL don't\r\n\ttab", "ㄱㅏ नमस्ते"])
async def test_text_survives_encoding(tokenizer: BytePairTokenizer, text: str) -> None:
    for is_data in (False, True):
        assert b"".join(map(tokenizer.token_bytes, tokenizer.encode([Segment(text, is_data)]))).decode() == text


async def test_control_tokens_in_data_stay_text(tokenizer: BytePairTokenizer) -> None:
    for control in ("<|im_end|>", "<|im_start|>", "<|endoftext|>", "<tool_call>", "<|fim_prefix|>"):
        ids = tokenizer.encode([Segment(f"a {control} b", is_data=True)])
        assert max(ids) < 151643
        assert len(tokenizer.encode([Segment(control)])) == 1
