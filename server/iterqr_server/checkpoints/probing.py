"""Asks a started engine the probe set."""

from __future__ import annotations

import asyncio
import math

from iterqr_proto.rewrite_format import (
    NO,
    YES,
    Question,
    RewriteInput,
    Template,
    normalize_query,
    render,
    render_question,
)

from iterqr_server.checkpoints.probe_set import Pair, PairScores, ProbeAnswer, ProbeSet
from iterqr_server.engine.interface import FinishReason, GenerationEngine, ScoreRequest
from iterqr_server.rewrite.generation_request import generation_request
from iterqr_server.rewrite.output_builder import MALFORMED, OutputBuilder
from iterqr_server.rewrite.scoring import share_of_first

PROBE_TENANT = "probe:"
"""Whose requests the engine takes the probes for."""


async def ask(
    engine: GenerationEngine, template: Template, probes: ProbeSet, *, max_rewrites: int, max_new_tokens: int
) -> tuple[list[ProbeAnswer], list[PairScores]]:
    """Returns the answers, asked one at a time so that their times are comparable.

    Raises:
        EngineError: what the engine raised.
    """
    answers = [
        await _answer(engine, template, normalize_query(query), number, max_rewrites, max_new_tokens)
        for number, query in enumerate(probes.queries)
    ]
    return answers, [await _scores(engine, pair, number) for number, pair in enumerate(probes.pairs)]


async def _answer(
    engine: GenerationEngine, template: Template, query: str, number: int, max_rewrites: int, max_new_tokens: int
) -> ProbeAnswer:
    source = RewriteInput(query)
    request = generation_request(
        f"probe-{number}",
        source,
        render(template, source),
        max_rewrites=max_rewrites,
        max_new_tokens=max_new_tokens,
        tenant=PROBE_TENANT,
    )
    builder = OutputBuilder(query, max_rewrites)
    ended = False
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        async for chunk in engine.submit(request):
            builder.feed(chunk)
            ended = chunk.finish_reason is FinishReason.STOP
            if builder.is_full:
                break
    finally:
        engine.abort(request.request_id)
    output = builder.output
    confidences = tuple(rewrite.confidence for rewrite in output.rewrites)
    has_all = bool(output.fix and output.intent and output.meaning)
    # As in serving, what was finished when max_new_tokens cut the answer short stands.
    is_usable = ended or bool(output.rewrites)
    return ProbeAnswer(
        query=query,
        is_valid=has_all and is_usable and not builder.rejected[MALFORMED] and all(map(math.isfinite, confidences)),
        seconds=loop.time() - started,
        confidences=confidences,
    )


async def _scores(engine: GenerationEngine, pair: Pair, number: int) -> PairScores:
    query = normalize_query(pair.query)
    request = ScoreRequest(
        request_id=f"probe-score-{number}",
        prompts=tuple(render_question(query, rewrite, Question.RELEVANCE) for rewrite in (pair.good, pair.bad)),
        answers=(YES, NO),
        tenant=PROBE_TENANT,
    )
    good, bad = [share_of_first(*logprobs) for logprobs in await engine.score(request)]
    return PairScores(good, bad)
