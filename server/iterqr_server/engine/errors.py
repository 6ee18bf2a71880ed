"""What can go wrong in an engine, apart from bugs.

EngineError
├── PromptTooLongError            the request alone can never fit; do not retry
├── EngineOverloadedError         too much to do; retry after `retry_after_s`
│   ├── QueueFullError            no more requests may wait
│   └── DeadlineUnreachableError  nothing usable is expected before the deadline
├── DeadlineExpiredError          the deadline passed while the request waited
├── RequestRefusedError           the library does not take the request; do not retry
├── RequestFailedError            the library failed on this request; others go on
├── EngineClosedError             the engine is shutting down
└── EngineFatalError              the engine is broken for good; restart the process
"""

from __future__ import annotations

import math


class EngineError(Exception):
    """Base of every error a `GenerationEngine` raises."""


class PromptTooLongError(EngineError):
    """Prompt and output together exceed what the engine can hold for one request."""

    def __init__(self, positions: int, limit: int) -> None:
        super().__init__(f"prompt and output need {positions} positions; the engine holds {limit} per request")
        self.positions = positions
        self.limit = limit


class EngineOverloadedError(EngineError):
    """The engine has too much to do for one more request. Worth another try after `retry_after_s`."""

    def __init__(self, reason: str, retry_after_s: float) -> None:
        super().__init__(f"{reason}; retry in {math.ceil(retry_after_s * 1000)} ms")
        self.retry_after_s = retry_after_s


class QueueFullError(EngineOverloadedError):
    """As many requests wait as may. `retry_after_s`: until one of them starts."""

    def __init__(self, waiting: int, limit: int, retry_after_s: float) -> None:
        super().__init__(f"{waiting} requests are waiting; the limit is {limit}", retry_after_s)
        self.waiting = waiting
        self.limit = limit


class DeadlineUnreachableError(EngineOverloadedError):
    """With what is to be done before it, the request is expected to have nothing usable at its deadline.

    `retry_after_s`: until so much of that is done that a request like it would be taken.
    """

    def __init__(self, expected_s: float, left_s: float, retry_after_s: float) -> None:
        super().__init__(
            f"a first result is expected in {expected_s * 1000:.0f} ms; the deadline is in {left_s * 1000:.0f} ms",
            retry_after_s,
        )
        self.expected_s = expected_s
        self.left_s = left_s


class DeadlineExpiredError(EngineError):
    """The request was still waiting at its deadline, so it was never started."""

    def __init__(self, waited_s: float) -> None:
        super().__init__(f"the deadline passed after {waited_s * 1000:.0f} ms of waiting for the engine")
        self.waited_s = waited_s


class RequestRefusedError(EngineError):
    """The library that runs the model does not take the request as it is."""


class RequestFailedError(EngineError):
    """The library that runs the model failed on this request alone; another try may succeed."""


class EngineClosedError(EngineError):
    """`close` was called; no more requests are taken."""


class EngineFatalError(EngineError):
    """The model runner failed in a way that ends the engine; every request of it fails with this."""
