"""Asks a started engine for rewrites and scores, and notes what came and when."""

from __future__ import annotations

import asyncio
import itertools
import math
import re
from dataclasses import dataclass

from iterqr_proto.rewrite_format import NO, YES, Question, RewriteInput, Template, grammar, render, render_question

from iterqr_server.engine.errors import EngineError
from iterqr_server.engine.interface import EngineStats, FinishReason, GenerationEngine, ScoreRequest
from iterqr_server.rewrite.generation_request import generation_request
from iterqr_server.rewrite.scoring import share_of_first

PROBES = (
    RewriteInput("chiken tikka masala", ("Chicken Tikka Masala", "Butter Chicken")),
    RewriteInput("something warm for a sore throat", ("Ginger Tea", "Chicken Noodle Soup")),
    RewriteInput("gluten free pasta", ("Rice Penne Arrabbiata",)),
    RewriteInput("mcdonlds"),
    RewriteInput("soupe à l'oignon", ("French Onion Soup",)),
    RewriteInput("brekky burrito", ("Breakfast Burrito",)),
    RewriteInput("poke bowl no fish", ("Tofu Poke Bowl",)),
    RewriteInput("辣 noodles", ("Dan Dan Noodles", "Chongqing Noodles")),
)
SCORED = (("chiken soup", "chicken soup"), ("chiken soup", "winter tyres"))
MAX_REWRITES = 3
_DRAIN_S = 10.0


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """One generation. `is_valid`: it keeps to the format as far as it goes; `is_whole`: the model ended it."""

    query: str
    text: str
    tokens: int
    first_s: float
    total_s: float
    is_whole: bool
    is_valid: bool
    has_logprobs: bool


@dataclass(frozen=True, slots=True)
class ProbeResults:
    """All that was measured.

    `first`, `again`: one request at a time, and the same once more. `together`: all at the same time, in `together_s`.
    Stats are of the moments before and after each. `drain_s`: from an abort until the engine is empty; None: never.
    """

    first: tuple[ProbeAnswer, ...]
    again: tuple[ProbeAnswer, ...]
    together: tuple[ProbeAnswer, ...]
    together_s: float
    before_again: EngineStats
    after_again: EngineStats
    at_end: EngineStats
    shares_of_yes: tuple[float, ...]
    drain_s: float | None


async def run_probes(engine: GenerationEngine, template: Template, max_new_tokens: int) -> ProbeResults:
    """Runs all probes on an engine that has started and has nothing else to do.

    Raises:
        EngineError: a request failed.
    """
    loop = asyncio.get_running_loop()
    numbers = itertools.count(1)

    async def ask(source: RewriteInput) -> ProbeAnswer:
        return await _ask(engine, template, source, f"probe-{next(numbers)}", max_new_tokens)

    first = tuple([await ask(source) for source in PROBES])
    before_again = engine.stats()
    again = tuple([await ask(source) for source in PROBES])
    after_again = engine.stats()
    began = loop.time()
    together = tuple(await asyncio.gather(*map(ask, PROBES)))
    together_s = loop.time() - began
    shares = await _scores(engine)
    drain_s = await _abort(engine, template, max_new_tokens)
    return ProbeResults(first, again, together, together_s, before_again, after_again, engine.stats(), shares, drain_s)


async def ask_once(engine: GenerationEngine, template: Template, max_new_tokens: int) -> str:
    """Returns a started engine's text for the first probe.

    Raises:
        EngineError: the request failed.
    """
    return (await _ask(engine, template, PROBES[0], "probe-once", max_new_tokens)).text


async def _ask(
    engine: GenerationEngine, template: Template, source: RewriteInput, request_id: str, max_new_tokens: int
) -> ProbeAnswer:
    loop = asyncio.get_running_loop()
    request = generation_request(
        request_id, source, render(template, source), max_rewrites=MAX_REWRITES, max_new_tokens=max_new_tokens
    )
    began = loop.time()
    first_s, text, tokens, reason = 0.0, "", 0, None
    logprobs: list[float] = []
    async for chunk in engine.submit(request):
        first_s = first_s or (loop.time() - began if chunk.token_ids else 0.0)
        text += chunk.text
        tokens += len(chunk.token_ids)
        logprobs += chunk.logprobs
        reason = chunk.finish_reason
    if reason is FinishReason.ABORTED:
        raise EngineError("the engine ended a request by itself")
    is_whole = reason is FinishReason.STOP
    return ProbeAnswer(
        query=source.query,
        text=text,
        tokens=tokens,
        first_s=first_s,
        total_s=loop.time() - began,
        is_whole=is_whole,
        is_valid=_is_valid(text, source.query, is_whole=is_whole),
        has_logprobs=len(logprobs) == tokens and all(math.isfinite(p) and p <= 0 for p in logprobs),
    )


def _is_valid(text: str, query: str, *, is_whole: bool) -> bool:
    """Whether an output keeps to the grammar. Of one that was cut short, the whole lines must start as they should."""
    if is_whole:
        return re.fullmatch(grammar(MAX_REWRITES, query), text) is not None
    names = ["fix: ", "intent: ", "meaning: ", *["rw: "] * MAX_REWRITES]
    lines = text.split("\n")
    return len(lines) <= len(names) + 1 and all(
        line.startswith(name[: len(line)]) for line, name in zip(lines, names, strict=False)
    )


async def _scores(engine: GenerationEngine) -> tuple[float, ...]:
    """Returns how probable yes is, against no, that each pair of `SCORED` belongs together."""
    prompts = tuple(render_question(query, rewrite, Question.RELEVANCE) for query, rewrite in SCORED)
    found = await engine.score(ScoreRequest("probe-scores", prompts, (YES, NO)))
    return tuple(share_of_first(*logprobs) for logprobs in found)


async def _abort(engine: GenerationEngine, template: Template, max_new_tokens: int) -> float | None:
    """Aborts a generation after its first token and returns how long the engine took to be empty."""
    loop = asyncio.get_running_loop()
    source = PROBES[0]
    stream = engine.submit(
        generation_request(
            "probe-abort", source, render(template, source), max_rewrites=MAX_REWRITES, max_new_tokens=max_new_tokens
        )
    )
    await anext(stream)
    engine.abort("probe-abort")
    began = loop.time()
    async for _ in stream:
        pass
    while engine.stats().running:
        if loop.time() - began > _DRAIN_S:
            return None
        await asyncio.sleep(0.005)
    return loop.time() - began
