"""A judge behind any endpoint that speaks OpenAI's chat completions; the one place of that library."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import openai

from iterqr_training.errors import JudgeError, SettingError
from iterqr_training.labels.judge_question import QUESTION_VERSION, UnreadableAnswerError, messages, read_answer
from iterqr_training.labels.judging import Judging, Subject, Usage, Verdict
from iterqr_training.labels.verdict_cache import VerdictCache

_TOKENS_AN_ANSWER = 40
_TOKENS_AROUND = 100


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """How the endpoint is called.

    Attributes:
        model: Its name there.
        url: Of the API, such as https://api.openai.com/v1; OpenAI's own if "".
        key: For the API; "" where none is needed.
        pairs_a_request: Asked together.
        concurrency: Requests at once.
        timeout_s: Of a request.
        max_retries: Of a request that is refused for now (429, 5xx) or lost, each after a longer pause or as long as
            `Retry-After` says.
        json_mode: Ask for `response_format` json_object, which some servers do not know.
        prompt_price: Of a million prompt tokens; None if unknown.
        completion_price: Of a million others.

    Raises:
        SettingError: One of them is out of its limits.
    """

    model: str
    url: str = ""
    key: str = ""
    pairs_a_request: int = 10
    concurrency: int = 4
    timeout_s: float = 60.0
    max_retries: int = 5
    json_mode: bool = True
    prompt_price: float | None = None
    completion_price: float | None = None

    def __post_init__(self) -> None:
        if not self.model:
            raise SettingError("judge model must not be empty")
        for name, low, high in (
            ("pairs_a_request", 1, 100),
            ("concurrency", 1, 256),
            ("timeout_s", 0.1, 3_600),
            ("max_retries", 0, 100),
        ):
            if not low <= getattr(self, name) <= high:
                raise SettingError(f"{name} is {getattr(self, name)}, and must be from {low:g} to {high:g}")


@dataclass(frozen=True, slots=True)
class _Reply:
    text: str
    prompt_tokens: int
    completion_tokens: int


class ChatJudge:
    """See `Judge`. A batch whose answer cannot be read is asked again as its two halves, down to single pairs."""

    def __init__(self, settings: ChatSettings, cache: VerdictCache) -> None:
        self.name = settings.model
        self._settings = settings
        self._cache = cache
        self._client = openai.OpenAI(
            api_key=settings.key or "none",
            base_url=settings.url or None,
            timeout=settings.timeout_s,
            max_retries=settings.max_retries,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def judge(self, subjects: Sequence[Subject], on_judged: Callable[[int], None]) -> Judging:
        """See `Judge`."""
        verdicts = {each: known for each in subjects if (known := self._cache.find(self._request([each]))) is not None}
        from_cache = len(verdicts)
        on_judged(from_cache)
        missing = [each for each in subjects if each not in verdicts]
        size = self._settings.pairs_a_request
        waiting = deque(missing[start : start + size] for start in range(0, len(missing), size))
        running: dict[Future[_Reply], list[Subject]] = {}
        requests = prompt_tokens = completion_tokens = unreadable = 0
        pool = ThreadPoolExecutor(self._settings.concurrency, thread_name_prefix="judge")
        try:
            while waiting or running:
                while waiting and len(running) < self._settings.concurrency:
                    batch = waiting.popleft()
                    running[pool.submit(self._ask, batch)] = batch
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    batch = running.pop(done)
                    reply = done.result()
                    requests += 1
                    prompt_tokens += reply.prompt_tokens
                    completion_tokens += reply.completion_tokens
                    try:
                        read = read_answer(reply.text, len(batch))
                    except UnreadableAnswerError:
                        if len(batch) > 1:
                            middle = len(batch) // 2
                            waiting.extend((batch[:middle], batch[middle:]))
                        else:
                            unreadable += 1
                            on_judged(1)
                        continue
                    self._keep(batch, read, verdicts)
                    on_judged(len(batch))
        finally:
            pool.shutdown(cancel_futures=True)
        cost = self._cost(prompt_tokens, completion_tokens)
        return Judging(verdicts, unreadable, Usage(requests, from_cache, prompt_tokens, completion_tokens, cost))

    def _keep(self, batch: Sequence[Subject], read: Sequence[Verdict], verdicts: dict[Subject, Verdict]) -> None:
        for subject, verdict in zip(batch, read, strict=True):
            self._cache.keep(self._request([subject]), verdict)
            verdicts[subject] = verdict

    def _request(self, batch: Sequence[Subject]) -> Mapping[str, Any]:
        """All that the answer depends on."""
        request: dict[str, Any] = {
            "model": self._settings.model,
            "messages": messages(batch),
            "temperature": 0,
            "max_tokens": _TOKENS_AROUND + _TOKENS_AN_ANSWER * len(batch),
        }
        if self._settings.json_mode:
            request["response_format"] = {"type": "json_object"}
        return {"url": self._settings.url, "question": QUESTION_VERSION, "body": request}

    def _ask(self, batch: Sequence[Subject]) -> _Reply:
        try:
            reply = self._client.chat.completions.create(**self._request(batch)["body"])
        except openai.APIStatusError as error:
            raise JudgeError(f"judge {self.name}: HTTP status {error.status_code}") from error
        except openai.OpenAIError as error:
            raise JudgeError(f"judge {self.name}: {type(error).__name__}: {error}") from error
        text = reply.choices[0].message.content if reply.choices else None
        used = reply.usage
        return _Reply(text or "", used.prompt_tokens if used else 0, used.completion_tokens if used else 0)

    def _cost(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        prices = self._settings.prompt_price, self._settings.completion_price
        if prices[0] is None or prices[1] is None:
            return None
        return (prompt_tokens * prices[0] + completion_tokens * prices[1]) / 1e6
