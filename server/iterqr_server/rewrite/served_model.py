"""A model that calls run on, with all that goes with its weights; and what the use cases need to know of several."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from iterqr_proto.rewrite_format import Template

from iterqr_server.engine.errors import EngineFatalError
from iterqr_server.engine.interface import GenerationEngine
from iterqr_server.rewrite.output_builder import Output


@dataclass(slots=True, eq=False)
class ServedModel:
    """A started engine. `checkpoint_id` names its weights in cache keys and replies.

    `policy_json` is how its rewrites are weighed, in one line; empty leaves it to the caller.
    """

    checkpoint_id: str
    engine: GenerationEngine
    template: Template
    policy_json: str = ""
    users: int = 0
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._idle.set()

    @contextmanager
    def used(self) -> Iterator[None]:
        """For as long as something runs on the engine or may start to."""
        self.users += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.users -= 1
            if not self.users:
                self._idle.set()

    async def drained(self) -> None:
        """Returns when nothing uses the engine. Whoever waits has seen to it that nobody picks the model any more."""
        await self._idle.wait()


@dataclass(frozen=True, slots=True)
class CallReport:
    """How an interactive call ended that was not answered from the cache.

    `output` is that of a generation that ran to its end for this call; None where it failed, was cut or was shared.
    """

    query: str
    seconds: float
    failed: bool
    output: Output | None


class Models(Protocol):
    """Which model takes which call. All methods are called on the event loop's thread."""

    def pick(self, sticky_key: str) -> ServedModel:
        """Returns the model for a call; always the same for one key while the split lasts.

        Raises:
            NotReadyError: no model is warm yet, or the server stops.
        """
        ...

    def champion(self) -> ServedModel:
        """Returns the model that is trusted.

        Raises:
            NotReadyError: as `pick`.
        """
        ...

    def report(self, model: ServedModel, call: CallReport) -> None:
        """A call on this model ended."""
        ...

    def broken(self, model: ServedModel, error: EngineFatalError) -> None:
        """Its engine is broken for good. May be called more than once."""
        ...
