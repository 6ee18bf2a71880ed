"""What every `GenerationEngine` must do, as one set of tests; see `EngineConformance`."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from iterqr_proto.rewrite_format import (
    NO,
    YES,
    Field,
    LineParser,
    Question,
    RewriteInput,
    load_template,
    render,
    render_question,
)
from iterqr_server.engine.errors import (
    DeadlineExpiredError,
    EngineClosedError,
    EngineFatalError,
    PromptTooLongError,
    QueueFullError,
)
from iterqr_server.engine.interface import (
    FinishReason,
    GenerationChunk,
    GenerationEngine,
    GenerationRequest,
    ScoreRequest,
)
from iterqr_server.rewrite.generation_request import generation_request
from support.predictable import StepGate

TEMPLATE = load_template()
QUERIES = ("chiken tikka masala", "soupe à l'oignon", "brekky burrito", "辣 noodles")
MAX_REWRITES = 2
WARM_UP = render(TEMPLATE, RewriteInput("warm up"))
MAX_RUNNING, MAX_WAITING = 2, 2
"""Limits of every engine under test."""


@dataclass(slots=True)
class StepControl:
    """Called before each step of the model: holds it, lets it go, or makes it fail. Steps run freely at first."""

    gate: StepGate = field(default_factory=StepGate)
    failure: str = ""

    def __post_init__(self) -> None:
        self.gate.open()

    def __call__(self, step: object) -> None:
        self.gate(step)  # type: ignore[arg-type]  # it looks at no step
        if self.failure:
            raise RuntimeError(self.failure)


@dataclass(frozen=True, slots=True)
class EngineUnderTest:
    """A started engine with `MAX_RUNNING` and `MAX_WAITING`, closed by the fixture; `control` is called at each step.

    `keeps_to_guides` is False where outputs are scripted and nothing holds them.
    """

    engine: GenerationEngine
    control: StepControl
    keeps_to_guides: bool = True
    max_new_tokens: int = 96

    def request(self, query: str, name: str = "", deadline: float | None = None) -> GenerationRequest:
        """The server's request for a query."""
        source = RewriteInput(query)
        return generation_request(
            name or query,
            source,
            render(TEMPLATE, source),
            max_rewrites=MAX_REWRITES,
            max_new_tokens=self.max_new_tokens,
            deadline=deadline,
        )

    async def chunks(self, request: GenerationRequest) -> list[GenerationChunk]:
        """All chunks of a request."""
        return [chunk async for chunk in self.engine.submit(request)]

    async def text(self, query: str, name: str = "") -> str:
        """The whole output for a query."""
        return "".join(chunk.text for chunk in await self.chunks(self.request(query, name)))

    async def until_idle(self) -> None:
        """Returns when nothing runs: a library may take a while to end what was aborted."""
        async with asyncio.timeout(20):
            while self.engine.stats().running or self.engine.stats().waiting:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.002)


def score_request(rewrite: str) -> ScoreRequest:
    """The server's question whether a rewrite of "chiken soup" is relevant."""
    return ScoreRequest(f"score-{rewrite}", (render_question("chiken soup", rewrite, Question.RELEVANCE),), (YES, NO))


class EngineConformance:
    """Subclass it where a fixture `tested` gives an `EngineUnderTest`, which tests may share if `doomed` gives another.

    Swapping one for another needs a server around them: `SwapConformance`, which the same test files run.
    """

    @pytest.fixture
    def doomed(self, tested: EngineUnderTest) -> EngineUnderTest:
        """One that the test ends."""
        return tested

    async def test_a_text_does_not_depend_on_its_neighbours(self, tested: EngineUnderTest) -> None:
        alone = [await tested.text(query) for query in QUERIES]
        together = await asyncio.gather(*(tested.text(query) for query in QUERIES))
        again = await asyncio.gather(*(tested.text(query) for query in reversed(QUERIES)))
        assert together == alone
        assert again == alone[::-1]
        assert len(set(alone)) == len(QUERIES)

    async def test_chunks_have_what_callers_count_on(self, tested: EngineUnderTest) -> None:
        chunks = await tested.chunks(tested.request(QUERIES[0]))
        assert [chunk.finish_reason is None for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
        assert chunks[-1].finish_reason is FinishReason.STOP
        for chunk in chunks:
            assert len(chunk.token_ids) == len(chunk.logprobs) <= 1
            assert all(math.isfinite(logprob) and logprob <= 0 for logprob in chunk.logprobs)
        prompt_tokens = {chunk.prompt_tokens for chunk in chunks if chunk.token_ids}
        assert len(prompt_tokens) == 1
        assert min(prompt_tokens) > 0

    async def test_the_limit_ends_a_generation(self, tested: EngineUnderTest) -> None:
        source = RewriteInput(QUERIES[0])
        chunks = await tested.chunks(GenerationRequest("a", render(TEMPLATE, source), max_new_tokens=5))
        assert sum(len(chunk.token_ids) for chunk in chunks) == 5
        assert chunks[-1].finish_reason is FinishReason.LENGTH

    async def test_outputs_keep_to_their_guide(self, tested: EngineUnderTest) -> None:
        if not tested.keeps_to_guides:
            pytest.skip("its outputs are scripted")
        guided = GenerationRequest("a", WARM_UP, max_new_tokens=8, guide="(ab|cd)!")
        text = "".join(chunk.text for chunk in await tested.chunks(guided))
        assert text in ("ab!", "cd!")

    async def test_an_abort_ends_one_request_and_no_other(self, tested: EngineUnderTest) -> None:
        expected = await tested.text(QUERIES[1])
        doomed = tested.engine.submit(tested.request(QUERIES[0], "doomed"))
        other = asyncio.create_task(tested.text(QUERIES[1]))
        first = await anext(doomed)
        tested.engine.abort("doomed")
        rest = [chunk async for chunk in doomed]
        assert first.finish_reason is None
        assert rest[-1].finish_reason is FinishReason.ABORTED
        assert await tested.text(QUERIES[1], "doomed") == expected  # the name is free at once
        assert await other == expected
        tested.engine.abort("doomed")  # unknown by now
        await tested.until_idle()

    async def test_an_abort_in_the_queue_makes_room(self, tested: EngineUnderTest) -> None:
        refused_before = tested.engine.stats().refused_queue_full_total
        tested.control.gate.close()
        tasks = [asyncio.create_task(tested.text(query, name)) for query, name in zip(QUERIES, "abcd", strict=True)]
        await tested.control.gate.arrived()
        assert (tested.engine.stats().running, tested.engine.stats().waiting) == (MAX_RUNNING, MAX_WAITING)
        with pytest.raises(QueueFullError) as refused:
            tested.engine.submit(tested.request("one more"))
        assert refused.value.retry_after_s > 0
        tested.engine.abort("d")
        late = asyncio.create_task(tested.text(QUERIES[3], "late"))
        await asyncio.sleep(0)
        tested.control.gate.open()
        texts = await asyncio.gather(*tasks, late)
        assert texts[3] == ""
        assert texts[4] == await tested.text(QUERIES[3])
        assert tested.engine.stats().refused_queue_full_total - refused_before == 1

    async def test_prompts_of_one_call_are_taken_or_refused_together(self, tested: EngineUnderTest) -> None:
        (prompt,) = score_request("winter tyres").prompts
        places = MAX_RUNNING + MAX_WAITING
        assert len(await tested.engine.score(ScoreRequest("fits", (prompt,) * places, (YES, NO)))) == places
        with pytest.raises(QueueFullError):
            await tested.engine.score(ScoreRequest("too many", (prompt,) * (places + 1), (YES, NO)))
        await tested.until_idle()

    async def test_what_waits_past_its_deadline_is_never_started(self, tested: EngineUnderTest) -> None:
        expired_before = tested.engine.stats().expired_total
        tested.control.gate.close()
        running = [asyncio.create_task(tested.text(query)) for query in QUERIES[:MAX_RUNNING]]
        await tested.control.gate.arrived()
        loop = asyncio.get_running_loop()
        late = tested.engine.submit(tested.request("late", deadline=loop.time() + 0.05))
        await asyncio.sleep(0.1)
        tested.control.gate.open()
        with pytest.raises(DeadlineExpiredError):
            await anext(late)
        assert all(await asyncio.gather(*running))
        assert tested.engine.stats().expired_total - expired_before == 1

    async def test_a_deadline_does_not_cut_what_runs(self, tested: EngineUnderTest) -> None:
        expected = await tested.text(QUERIES[0])
        tested.control.gate.close()
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(tested.chunks(tested.request(QUERIES[0], deadline=loop.time() + 0.5)))
        await tested.control.gate.arrived()
        await asyncio.sleep(0.6)
        tested.control.gate.open()
        assert "".join(chunk.text for chunk in await task) == expected

    async def test_whole_lines_are_there_when_the_rest_is_given_up(self, tested: EngineUnderTest) -> None:
        whole = await tested.text(QUERIES[0])
        stream = tested.engine.submit(tested.request(QUERIES[0], "cut"))
        parser, text, rewrites = LineParser(), "", 0
        async for chunk in stream:
            text += chunk.text
            rewrites += sum(line.field is Field.REWRITE for line in parser.feed(chunk.text))
            if rewrites:
                await stream.aclose()  # type: ignore[attr-defined]  # every engine's stream has it
                break
        assert rewrites == 1
        assert whole.startswith(text)
        assert len(text) < len(whole)
        await tested.until_idle()

    async def test_scores_tell_yes_from_no(self, tested: EngineUnderTest) -> None:
        ((good_yes, good_no),) = await tested.engine.score(score_request("chicken soup"))
        ((bad_yes, bad_no),) = await tested.engine.score(score_request("winter tyres"))
        assert all(math.isfinite(each) and each <= 0 for each in (good_yes, good_no, bad_yes, bad_no))
        assert good_yes - good_no > bad_yes - bad_no
        together = await asyncio.gather(
            *(tested.engine.score(score_request(each)) for each in ("winter tyres", "chicken soup"))
        )
        assert together == [((bad_yes, bad_no),), ((good_yes, good_no),)]

    async def test_wrong_requests_are_named(self, tested: EngineUnderTest) -> None:
        source = render(TEMPLATE, RewriteInput("a"))
        with pytest.raises(ValueError, match="max_new_tokens: must be at least 1, got 0"):
            tested.engine.submit(GenerationRequest("a", source, 0))
        with pytest.raises(ValueError, match="answers: 'neither here nor there' is "):
            await tested.engine.score(ScoreRequest("s", (source,), (YES, "neither here nor there")))
        with pytest.raises(ValueError, match="answers: must not be empty"):
            await tested.engine.score(ScoreRequest("s", (source,), ()))
        with pytest.raises(PromptTooLongError):
            tested.engine.submit(GenerationRequest("a", source, 1_000_000))
        stream = tested.engine.submit(tested.request("a", "taken"))
        with pytest.raises(ValueError, match="'taken' is in use"):
            tested.engine.submit(tested.request("b", "taken"))
        assert [chunk async for chunk in stream]

    async def test_statistics_count_what_happened(self, tested: EngineUnderTest) -> None:
        query = "a query of no other test"
        before = tested.engine.stats()
        first = await tested.chunks(tested.request(query))
        between = tested.engine.stats()
        second = await tested.chunks(tested.request(query))
        after = tested.engine.stats()
        tokens = [sum(len(chunk.token_ids) for chunk in chunks) for chunks in (first, second)]
        asked = [stats.prompt_tokens_total for stats in (before, between, after)]
        reused = [stats.prefix_tokens_reused_total for stats in (before, between, after)]
        assert [
            b - a for a, b in pairwise(stats.generated_tokens_total for stats in (before, between, after))
        ] == tokens
        assert [b - a for a, b in pairwise(asked)] == [first[0].prompt_tokens] * 2
        assert 0 < reused[1] - reused[0] < first[0].prompt_tokens  # the instruction, since the warm-up
        assert reused[1] - reused[0] < reused[2] - reused[1] < first[0].prompt_tokens
        assert after.admitted_total - before.admitted_total == 2
        async with asyncio.timeout(20):  # a library tells of its steps a little later
            while not tested.engine.stats().kv_positions_used:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
        told = tested.engine.stats()
        assert 0 < told.kv_positions_used <= told.kv_positions_limit
        assert told.steps_total > 0
        assert told.step_seconds_total > 0

    async def test_a_broken_engine_fails_every_request(self, doomed: EngineUnderTest) -> None:
        doomed.control.gate.close()
        streams = [doomed.engine.submit(doomed.request(query)) for query in QUERIES]
        await doomed.control.gate.arrived()
        doomed.control.failure = "the model's memory is gone"
        doomed.control.gate.open()
        for stream in streams:
            with pytest.raises(EngineFatalError, match="the model's memory is gone"):
                [chunk async for chunk in stream]
        with pytest.raises(EngineFatalError, match="the model's memory is gone"):
            doomed.engine.submit(doomed.request("later"))
        with pytest.raises(EngineFatalError):
            await doomed.engine.score(score_request("chicken soup"))
        await doomed.until_idle()

    async def test_close_ends_everything(self, doomed: EngineUnderTest) -> None:
        doomed.control.gate.close()
        streams = [doomed.engine.submit(doomed.request(query)) for query in QUERIES[:3]]
        scores = asyncio.create_task(doomed.engine.score(score_request("chicken soup")))
        await doomed.control.gate.arrived()
        closing = asyncio.create_task(doomed.engine.close())
        await asyncio.sleep(0.01)
        doomed.control.gate.open()
        await closing
        for stream in streams:
            assert [chunk async for chunk in stream][-1].finish_reason is FinishReason.ABORTED
        with pytest.raises(EngineClosedError):
            await scores
        with pytest.raises(EngineClosedError):
            doomed.engine.submit(doomed.request("later"))
        await doomed.engine.close()
