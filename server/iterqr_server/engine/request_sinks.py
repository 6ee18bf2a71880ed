"""What becomes of a runner's outputs: chunks of a generation, or the probabilities of a prompt's answers."""

from __future__ import annotations

import asyncio
from typing import Protocol

from iterqr_server.engine.detokenizer import Detokenizer
from iterqr_server.engine.errors import EngineClosedError, RequestFailedError
from iterqr_server.engine.interface import FinishReason, GenerationChunk
from iterqr_server.engine.request_runner import RunnerOutput
from iterqr_server.engine.stream import GenerationStream
from iterqr_server.engine.tokenizer import PromptTokenizer


class RequestSink(Protocol):
    """Where one request's outputs go."""

    def put(self, output: RunnerOutput) -> int:
        """Takes the next output and returns how many tokens of it were generated for the caller.

        Raises:
            RequestFailedError: the output is not what was asked for.
        """
        ...

    def abort(self) -> None:
        """The caller, or the engine's end, ended the request. Nothing is put any more."""
        ...

    def fail(self, error: Exception) -> None:
        """The request ends with an error. Nothing is put any more."""
        ...


class GenerationSink:
    """Hands out a generation token by token, so that a chunk's probability belongs to its text alone."""

    def __init__(self, stream: GenerationStream, tokenizer: PromptTokenizer, prompt_tokens: int) -> None:
        self._stream = stream
        self._tokenizer = tokenizer
        self._prompt_tokens = prompt_tokens
        self._detokenizer = Detokenizer()

    def put(self, output: RunnerOutput) -> int:
        """See `RequestSink`. What follows a token that ends the turn is dropped."""
        if len(output.likeliest) != len(output.token_ids):
            raise RequestFailedError(
                f"the library gave {len(output.likeliest)} probabilities for {len(output.token_ids)} tokens"
            )
        stop = next((i for i, token in enumerate(output.token_ids) if token in self._tokenizer.stop_ids), None)
        tokens = output.token_ids[:stop]
        for number, (token_id, likeliest) in enumerate(zip(tokens, output.likeliest, strict=False), 1):
            is_last = output.finish_reason is not None and number == len(tokens)
            text = self._detokenizer.feed(self._tokenizer.token_bytes(token_id))
            self._stream.put(
                GenerationChunk(
                    text=text + self._detokenizer.finish() if is_last else text,
                    token_ids=(token_id,),
                    # One that is not listed is at most as probable as the least of those that are.
                    logprobs=(likeliest[token_id] if token_id in likeliest else min(likeliest.values()),),
                    finish_reason=output.finish_reason if is_last else None,
                    prompt_tokens=self._prompt_tokens,
                )
            )
        if output.finish_reason is not None and not tokens:
            self._stream.put(GenerationChunk(self._detokenizer.finish(), (), (), output.finish_reason))
        return len(tokens)

    def abort(self) -> None:
        """See `RequestSink`."""
        self._stream.put(GenerationChunk("", (), (), FinishReason.ABORTED))

    def fail(self, error: Exception) -> None:
        """See `RequestSink`."""
        self._stream.fail(error)


class ScoreSink:
    """Reads the answers' probabilities off the first token's alternatives."""

    def __init__(self, result: asyncio.Future[tuple[float, ...]], answer_ids: tuple[int, ...]) -> None:
        self.result = result
        self._answer_ids = answer_ids

    def put(self, output: RunnerOutput) -> int:
        """See `RequestSink`. An answer that is not listed counts as probable as the least that is."""
        if self.result.done():
            return 0
        if output.likeliest:
            listed = output.likeliest[0]
            if not any(answer in listed for answer in self._answer_ids):
                raise RequestFailedError("the library's most probable tokens have none of the answers")
            least = min(listed.values())
            self.result.set_result(tuple(listed.get(answer, least) for answer in self._answer_ids))
        elif output.finish_reason is not None:
            raise RequestFailedError("the library gave no probabilities of answers")
        return 0

    def abort(self) -> None:
        """See `RequestSink`. A caller that still waits is told that the engine was closed."""
        self.fail(EngineClosedError("the engine was closed"))

    def fail(self, error: Exception) -> None:
        """See `RequestSink`."""
        if not self.result.done():
            self.result.set_exception(error)
            self.result.exception()  # whoever awaits it sees it; nobody may be left who does
