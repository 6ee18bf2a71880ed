"""What can go wrong in an engine, apart from bugs.

EngineError
├── PromptTooLongError      the request alone can never fit; do not retry
├── EngineOverloadedError   the queue is full; retry after a while
├── EngineClosedError       the engine is shutting down
└── EngineFatalError        the engine is broken for good; restart the process
"""


class EngineError(Exception):
    """Base of every error a `GenerationEngine` raises."""


class PromptTooLongError(EngineError):
    """Prompt and output together exceed what the engine can hold for one request."""

    def __init__(self, positions: int, limit: int) -> None:
        super().__init__(f"prompt and output need {positions} positions; the engine holds {limit} per request")
        self.positions = positions
        self.limit = limit


class EngineOverloadedError(EngineError):
    """The waiting queue is full. Retryable."""

    def __init__(self, waiting: int, limit: int) -> None:
        super().__init__(f"{waiting} requests are waiting; the limit is {limit}")
        self.waiting = waiting
        self.limit = limit


class EngineClosedError(EngineError):
    """`close` was called; no more requests are taken."""


class EngineFatalError(EngineError):
    """The model runner failed in a way that ends the engine; every request of it fails with this."""
