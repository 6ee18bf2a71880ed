"""What can go wrong in rewriting, apart from bugs and from the engine's errors.

RewriteError
├── NotReadyError        the model is still loading; retry
├── NothingInTimeError   the deadline came before the first rewrite
├── NoScoresInTimeError  the deadline came before the scores
└── ShuttingDownError    the generation was given up because the server stops
"""


class RewriteError(Exception):
    """Base of every error `RewriteService` raises itself."""


class NotReadyError(RewriteError):
    """The model is not loaded and warm yet."""

    def __init__(self) -> None:
        super().__init__("the model is still loading")


class NothingInTimeError(RewriteError):
    """No rewrite was complete at the deadline. The generation goes on for the next caller."""

    def __init__(self, waited_ms: float) -> None:
        super().__init__(f"no rewrite was complete after {waited_ms:.0f} ms")


class NoScoresInTimeError(RewriteError):
    """The scores were not there at the deadline; computing them was given up."""

    def __init__(self, waited_ms: float) -> None:
        super().__init__(f"the scores were not complete after {waited_ms:.0f} ms")


class ShuttingDownError(RewriteError):
    """The server stopped before the generation ended."""

    def __init__(self) -> None:
        super().__init__("the server is shutting down")
