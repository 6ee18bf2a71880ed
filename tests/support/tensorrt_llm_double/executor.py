"""The double's executor: takes requests into a batch, gives each its script's next tokens, tells what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from iterqr_server.engine.guide import Guide
from iterqr_server.engine.regex_guides import RegexGuides
from support.tensorrt_llm_double.kv_cache import BlockTree
from support.tensorrt_llm_double.results import IterationResult, Logprob, RequestError, RequestOutput, Response
from tokenizers import Tokenizer

LIKELY, UNLIKELY = -0.01, -20.01
MAX_BLOCKS = 4096


@dataclass(slots=True)
class Running:
    """A request in the executor. `answer` is what its script wants to say."""

    result: RequestOutput
    sampling: Any
    salt: str | None
    retention: Any
    answer: list[int]
    guide: Guide | None = None
    failure: str = ""
    said: list[int] = field(default_factory=list)
    is_new: bool = True
    is_aborted: bool = False


@dataclass(slots=True)
class Behaviour:
    """What a test can change while requests run.

    `scripts` are those of models by the name of the folder that their folder lies in, a checkpoint's id; others answer
    with `script`.
    """

    script: Callable[[str], str]
    scripts: dict[str, Callable[[str], str]] = field(default_factory=dict)
    before_step: Callable[[Any], None] | None = None
    keeps_end_token: bool = False
    gives_no_logprobs: bool = False
    ignores_guides: bool = False
    is_silent: bool = False
    failures: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)


class Executor:
    """One iteration after the other while there is something to do."""

    def __init__(self, args: Any, tokenizer: Tokenizer, behaviour: Behaviour) -> None:  # noqa: ANN401
        self._args = args
        self._tokenizer = tokenizer
        self._behaviour = behaviour
        self._script = behaviour.scripts.get(Path(args.model).parent.name, behaviour.script)
        end_id = tokenizer.token_to_id("<|im_end|>")
        assert end_id is not None
        self._end_id = end_id
        self._guides = RegexGuides(tokenizer.to_str(), vocabulary=tokenizer.get_vocab_size(), stop_id=self._end_id)
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.tree = BlockTree(args.kv_cache_config)
        self.statistics = IterationResult()
        self.waiting: list[Running] = []
        self.active: list[Running] = []
        self.error: Exception | None = None
        self.largest_batch = 0
        self.cancelled = 0
        self._iterations = 0

    def enqueue(self, result: RequestOutput, sampling: Any, salt: str | None, retention: Any) -> None:  # noqa: ANN401
        text = self._tokenizer.decode(result.prompt_token_ids, skip_special_tokens=False)
        asked = sampling.guided_decoding
        running = Running(
            result,
            sampling,
            salt,
            retention,
            self._tokenizer.encode(self._script(text), add_special_tokens=False).ids,
        )
        is_held = self._args.guided_decoding_backend is not None and not self._behaviour.ignores_guides
        if asked is not None and is_held:
            try:
                running.guide = self._guides.open(asked.regex)
            except ValueError:  # told when it would run, in words that repeat it
                running.failure = f"grammar error in {asked.regex}"
        self.waiting.append(running)
        self._work.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="double-executor")

    def ask_abort(self, request_id: int) -> None:
        for running in self.waiting + self.active:
            if running.result.request_id == request_id:
                running.is_aborted = True
        self._work.set()

    def shutdown(self) -> None:
        if self._task is not None:
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    async def _run(self) -> None:
        try:
            while True:
                if not self.waiting and not self.active:
                    self._work.clear()
                    await self._work.wait()
                await self._iterate()
        except Exception as error:
            self.error = error
            for running in self.waiting + self.active:
                running.result.tell(error)
            self.waiting, self.active = [], []

    async def _iterate(self) -> None:
        while self.waiting and len(self.active) < self._args.max_batch_size:
            self.active.append(self.waiting.pop(0))
        self.largest_batch = max(self.largest_batch, len(self.active))
        if self._behaviour.before_step is not None:
            await asyncio.to_thread(self._behaviour.before_step, None)
        await asyncio.sleep(0.01 if self._behaviour.is_silent else 0)
        if self._behaviour.is_silent:
            return
        proposed = accepted = 0
        for running in [each for each in self.waiting if each.is_aborted]:
            self.waiting.remove(running)
            running.result.tell(Response((), (), "cancelled"))
        for running in list(self.active):
            if running.is_aborted:
                self.cancelled += 1
                self._end(running, Response((), (), "cancelled"))
                continue
            if running.is_new and self._behaviour.failures:
                running.failure = self._behaviour.failures.pop(0)
            if running.failure:
                self.active.remove(running)
                running.result.tell(RequestError(running.failure))
                continue
            guesses = self._guesses(running)
            response, used = self._advance(running, guesses)
            proposed, accepted = proposed + len(guesses), accepted + used
            if response.finish_reason is not None:
                self._end(running, response)
            else:
                running.result.tell(response)
        self._iterations += 1
        if self._args.enable_iter_perf_stats:
            self._tell_statistics(proposed, accepted)

    def _advance(self, running: Running, guesses: list[int]) -> tuple[Response, int]:
        """Verifies guesses: the tokens are what decoding one by one would have given."""
        if running.is_new:
            running.is_new = False
            prompt = running.result.prompt_token_ids
            running.result.cached_tokens = self.tree.cached_tokens(running.salt, prompt)
            self.tree.keep(running.salt, prompt)
        running.result.decoding_iter += 1
        tokens: list[int] = []
        logprobs: list[dict[int, Logprob]] = []
        used = 0
        while True:
            token, allowed = self._next(running)
            tokens.append(token)
            logprobs.append(self._listed(token, allowed, running.sampling.logprobs))
            if token == self._end_id:
                if not self._behaviour.keeps_end_token:
                    tokens.pop(), logprobs.pop()
                return self._response(tokens, logprobs, "stop"), used
            running.said.append(token)
            if running.guide is not None:
                running.guide.advance(token)
            if len(running.said) == running.sampling.max_tokens:
                return self._response(tokens, logprobs, "length"), used
            if used == len(guesses) or guesses[used] != token:
                return self._response(tokens, logprobs, None), used
            used += 1

    def _response(self, tokens: list[int], logprobs: list[dict[int, Logprob]], reason: str | None) -> Response:
        return Response(tuple(tokens), () if self._behaviour.gives_no_logprobs else tuple(logprobs), reason)

    def _next(self, running: Running) -> tuple[int, list[int] | None]:
        """The next token and which ones the guide allows, None for all."""
        place = len(running.said)
        wanted = running.answer[place] if place < len(running.answer) else self._end_id
        if running.guide is None:
            return wanted, None
        if running.guide.is_finished:
            return self._end_id, [self._end_id]
        allowed = np.flatnonzero(running.guide.mask()).tolist()
        return (wanted if wanted in allowed else int(allowed[0])), allowed

    def _listed(self, token: int, allowed: list[int] | None, count: int | None) -> dict[int, Logprob]:
        others = range(self._tokenizer.get_vocab_size()) if allowed is None else allowed
        listed = [token, *(other for other in others if other != token)][: count or 0]
        return {each: Logprob(UNLIKELY if rank else LIKELY, rank + 1) for rank, each in enumerate(listed)}

    def _guesses(self, running: Running) -> list[int]:
        """What followed the latest tokens the last time that they came, in the prompt or in the output."""
        config = self._args.speculative_config
        if config is None or running.is_new:
            return []
        text = running.result.prompt_token_ids + running.said
        for size in range(config.max_matching_ngram_size, 0, -1):
            for start in range(len(text) - size - 1, -1, -1):
                if text[start : start + size] == text[-size:]:
                    return text[start + size : start + size + config.max_draft_len]
        return []

    def _end(self, running: Running, response: Response) -> None:
        self.active.remove(running)
        running.result.tell(response)

    def _tell_statistics(self, proposed: int, accepted: int) -> None:
        self.statistics.tell(
            {
                "iter": self._iterations,
                "iterLatencyMS": 2.0,
                "numActiveRequests": len(self.active),
                "numQueuedRequests": len(self.waiting),
                "kvCacheStats": {
                    "maxNumBlocks": MAX_BLOCKS,
                    "usedNumBlocks": self.tree.blocks,
                    "tokensPerBlock": self._args.kv_cache_config.tokens_per_block,
                },
                "specDecodingStats": {"numDraftTokens": proposed, "numAcceptedTokens": accepted},
            }
        )
