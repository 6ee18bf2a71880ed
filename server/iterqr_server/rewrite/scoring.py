"""The use case: a query and rewrites of it in, the probability that each is well formed and that it is relevant out."""

from __future__ import annotations

import asyncio
import itertools
import math
from dataclasses import dataclass

from iterqr_proto.rewrite_format import NO, YES, Question, normalize_query, render_question
from opentelemetry import trace

from iterqr_server.engine.errors import EngineClosedError, EngineFatalError
from iterqr_server.engine.interface import GenerationEngine, ScoreRequest
from iterqr_server.rewrite.errors import NoScoresInTimeError
from iterqr_server.rewrite.served_model import Models, ServedModel
from iterqr_server.telemetry.metrics import Metrics

_QUESTIONS = (Question.QUALITY, Question.RELEVANCE)


@dataclass(frozen=True, slots=True)
class ScoreCall:
    """A valid call: texts are not empty after cleaning; `deadline` is a time of the event loop's clock."""

    query: str
    rewrites: tuple[str, ...]
    tenant: str
    deadline: float | None


@dataclass(frozen=True, slots=True)
class RewriteScore:
    """Probabilities of `YES`, against `NO`, as the answer to the two questions."""

    quality: float
    relevance: float


@dataclass(frozen=True, slots=True)
class Scores:
    """One score for each rewrite of a call, in its order."""

    of_rewrites: tuple[RewriteScore, ...]
    checkpoint_id: str


class RewriteScorer:
    """Scores rewrites. All methods are called on the event loop's thread.

    The champion of `models` scores, whatever the split: what is scored is somebody's data, not traffic. Its engine gets
    `prompts_at_once` prompts at a time: as many as it runs at once, so that a long list neither overflows its queue nor
    holds up others.
    """

    def __init__(
        self,
        *,
        models: Models,
        reply_margin_ms: int,
        prompts_at_once: int,
        metrics: Metrics,
        tracer: trace.Tracer,
    ) -> None:
        self._models = models
        self._prompts_at_once = prompts_at_once
        self._reply_margin_s = reply_margin_ms / 1000
        self._metrics = metrics
        self._tracer = tracer
        self._request_numbers = itertools.count(1)

    async def score(self, call: ScoreCall) -> Scores:
        """Returns all scores, `reply_margin_ms` before the deadline, if there is one, at the latest.

        A call whose model is closed under it is answered by whichever champion serves then, from its beginning.

        Raises:
            NotReadyError: the model is not warm yet.
            NoScoresInTimeError: the deadline came first; the engine is free of the request.
            EngineError: what the engine raised.
        """
        loop = asyncio.get_running_loop()
        arrived = loop.time()
        deadline = None if call.deadline is None else call.deadline - self._reply_margin_s
        model = self._models.champion()
        with self._tracer.start_as_current_span("score") as span:
            span.set_attribute("iterqr.score.rewrites", len(call.rewrites))
            try:
                async with asyncio.timeout_at(deadline):
                    while True:
                        try:
                            yes = await self._shares_on(model, call, deadline)
                            break
                        except EngineClosedError:
                            champion = self._models.champion()
                            if champion is model:
                                raise
                            model = champion
            except TimeoutError:
                raise NoScoresInTimeError((loop.time() - arrived) * 1000) from None
        self._metrics.scored_rewrites.inc(len(call.rewrites))
        self._metrics.stage_seconds.labels("score").observe(loop.time() - arrived)
        scores = zip(yes[::2], yes[1::2], strict=True)
        return Scores(tuple(RewriteScore(quality, relevance) for quality, relevance in scores), model.checkpoint_id)

    async def _shares_on(self, model: ServedModel, call: ScoreCall, deadline: float | None) -> list[float]:
        with model.used():
            try:
                return await self._shares_of_yes(model.engine, call, deadline)
            except EngineFatalError as error:
                self._models.broken(model, error)
                raise

    async def _shares_of_yes(self, engine: GenerationEngine, call: ScoreCall, deadline: float | None) -> list[float]:
        """Asks all questions, those about one rewrite side by side."""
        query = normalize_query(call.query)
        prompts = [render_question(query, rewrite, question) for rewrite in call.rewrites for question in _QUESTIONS]
        shares: list[float] = []
        for start in range(0, len(prompts), self._prompts_at_once):
            request = ScoreRequest(
                request_id=f"score-{next(self._request_numbers)}",
                prompts=tuple(prompts[start : start + self._prompts_at_once]),
                answers=(YES, NO),
                tenant=call.tenant,
                deadline=deadline,
            )
            shares += [share_of_first(*logprobs) for logprobs in await engine.score(request)]
        return shares


def share_of_first(first: float, second: float) -> float:
    """Returns p / (p + q) for the natural logarithms of p and q, however far apart they are."""
    return (1 + math.tanh((first - second) / 2)) / 2
