"""The models in memory: loaded one at a time beside those that serve, freed when nothing runs on them any more.

Where there is no memory for one more, a model is staged, or takes the place of the others if whoever asks says how.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
from collections.abc import Awaitable, Callable, KeysView
from typing import TypeAlias

import structlog
from iterqr_proto.registry import RegistryError

from iterqr_server.checkpoints import memory
from iterqr_server.checkpoints.errors import CheckpointRefusedError, NotLoadedError
from iterqr_server.checkpoints.opened_model import OpenedModel
from iterqr_server.checkpoints.retries import Retries
from iterqr_server.checkpoints.status import Status, status_of
from iterqr_server.checkpoints.swap_rules import SwapRules
from iterqr_server.rewrite.served_model import ServedModel
from iterqr_server.telemetry.metrics import Metrics

Replace: TypeAlias = Callable[[OpenedModel], Awaitable[None]]
"""Takes the models that are in memory out and starts this one; raises why it cannot, with one of the others back."""
_log = structlog.get_logger(__name__)


class ModelPool:
    """All methods are called on the event loop's thread.

    What `open_model` and its result's `start` raise is why a model is refused. `on_loading_ended` is called after each
    `start_loading`, whatever came of it.
    """

    def __init__(
        self,
        *,
        open_model: Callable[[str], Awaitable[OpenedModel]],
        on_loading_ended: Callable[[], None],
        rules: SwapRules,
        max_loaded: int,
        drain_s: float,
        metrics: Metrics,
    ) -> None:
        self._open_model = open_model
        self._on_loading_ended = on_loading_ended
        self._rules = rules
        self._max_loaded = max_loaded
        self._drain_s = drain_s
        self._metrics = metrics
        self._loaded: dict[str, ServedModel] = {}
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._draining: dict[ServedModel, asyncio.Task[None]] = {}
        self._refused = Retries()
        self._staged: dict[str, str] = {}
        self._started_in_vain: set[str] = set()
        self._one_at_a_time = asyncio.Lock()

    @property
    def loaded(self) -> KeysView[str]:
        """Ids of what may take traffic."""
        return self._loaded.keys()

    @property
    def draining(self) -> int:
        """Models on their way out."""
        return len(self._draining)

    def model(self, checkpoint_id: str) -> ServedModel:
        """Returns a loaded model.

        Raises:
            NotLoadedError: it is not.
        """
        if checkpoint_id not in self._loaded:
            raise NotLoadedError(f"{checkpoint_id} is not loaded on this server")
        return self._loaded[checkpoint_id]

    def add(self, model: ServedModel) -> None:
        """Takes a model that was started elsewhere."""
        self._loaded[model.checkpoint_id] = model

    def is_loading(self, checkpoint_id: str) -> bool:
        """Whether it is on its way into memory."""
        return checkpoint_id in self._loading

    def is_staged(self, checkpoint_id: str) -> bool:
        """Whether it was fetched and checked and there was no memory for it beside the others."""
        return checkpoint_id in self._staged

    def started_in_vain(self, checkpoint_id: str) -> bool:
        """Whether its weights were loaded the last time, and it was refused then: most likely for good."""
        return checkpoint_id in self._started_in_vain

    def may_try(self, checkpoint_id: str) -> bool:
        """Whether it was never refused or staged, or long enough ago."""
        return self._refused.may_try(checkpoint_id, asyncio.get_running_loop().time())

    def status(self, checkpoint_id: str, problem: str = "") -> Status:
        """Returns where it stands; `problem` is what the registry's listing says of it."""
        return status_of(
            checkpoint_id,
            loaded=checkpoint_id in self._loaded,
            loading=checkpoint_id in self._loading,
            staged=checkpoint_id in self._staged and not problem,
            reason=problem or self._refused.reasons.get(checkpoint_id, ""),
        )

    def statuses(self) -> list[Status]:
        """Returns where everything stands that is in memory, on its way there, or was refused."""
        return [self.status(name) for name in dict.fromkeys((*self._loaded, *self._loading, *self._refused.reasons))]

    def start_loading(self, checkpoint_id: str, replace: Replace | None = None) -> asyncio.Task[None]:
        """Returns the loading under way, or a new one; it raises nothing. See `load`."""
        if checkpoint_id not in self._loading:
            task = asyncio.create_task(self.load(checkpoint_id, replace), name=f"load-{checkpoint_id}")
            self._loading[checkpoint_id] = task
            task.add_done_callback(lambda _task: self._ended(checkpoint_id))
        return self._loading[checkpoint_id]

    async def load(self, checkpoint_id: str, replace: Replace | None = None) -> None:
        """Ends with the model among the loaded, the staged or the refused.

        Where the rules let it take the place of the others, it does so by `replace`, and is staged without.
        """
        try:
            async with self._one_at_a_time:
                if checkpoint_id in self._loaded:  # since it was asked for
                    return
                await self._make_room()
                opened = await self._open_model(checkpoint_id)
                try:
                    lack = await self._put_in(opened, replace)
                except BaseException:
                    await opened.model.engine.close()
                    raise
        except Exception as error:
            known = isinstance(error, (CheckpointRefusedError, RegistryError, OSError))
            self._staged.pop(checkpoint_id, None)
            self._refuse(checkpoint_id, str(error) if known else f"{type(error).__name__}: {error}")
            _log.error("checkpoint_not_loaded", checkpoint_id=checkpoint_id, exc_info=None if known else error)
        else:
            if lack:
                self._stage(opened, lack)
                await opened.model.engine.close()

    async def _put_in(self, opened: OpenedModel, replace: Replace | None) -> str:
        """Starts a model beside the others or in their place. Returns why it is to be staged instead; empty if not.

        Raises:
            CheckpointRefusedError: there is no memory for it; besides what starting it raises.
        """
        name = opened.model.checkpoint_id
        self._started_in_vain.discard(name)
        lack = self._rules.why_not_beside(await opened.room()) if self._loaded or not self._rules.reload else ""
        while lack and self._draining:  # what is on its way out has memory yet
            await asyncio.wait(self._draining.values(), return_when=asyncio.FIRST_COMPLETED)
            lack = self._rules.why_not_beside(await opened.room())
        if lack and not self._rules.reload:
            raise CheckpointRefusedError(lack)
        if lack and replace is None:
            return lack
        watched = dataclasses.replace(opened, start=functools.partial(self._start, name, opened.start))
        await (replace(watched) if lack and replace else watched.start())
        self._started_in_vain.discard(name)
        self._staged.pop(name, None)
        self._refused.forget(name)
        self._loaded[name] = opened.model
        self._metrics.checkpoint_loads.labels("loaded").inc()
        return ""

    def take_out(self, checkpoint_id: str, reason: str = "") -> asyncio.Task[None]:
        """Frees a model that nobody picks any more, once nothing runs on it, or after `drain_s`; returns that task.

        With a `reason` it counts as refused.

        Raises:
            NotLoadedError: it is not loaded.
        """
        model = self.model(checkpoint_id)
        del self._loaded[checkpoint_id]
        if reason:
            self._refuse(checkpoint_id, reason)
        self._draining[model] = asyncio.create_task(self._drain_and_close(model), name=f"drain-{checkpoint_id}")
        return self._draining[model]

    async def close(self) -> None:
        """Closes every engine."""
        loading = list(self._loading.values())
        for task in loading:
            task.cancel()
        await asyncio.gather(*loading, return_exceptions=True)
        models = [*self._loaded.values(), *self._draining]
        for task in self._draining.values():
            task.cancel()
        for model in models:
            await model.engine.close()
        await asyncio.gather(*self._draining.values(), return_exceptions=True)
        self._loaded.clear()

    async def _make_room(self) -> None:
        """Waits for models that are on their way out if there is no room beside them.

        Raises:
            CheckpointRefusedError: none is, and as many are loaded as may be.
        """
        while len(self._loaded) + len(self._draining) >= self._max_loaded:
            if not self._draining:
                raise CheckpointRefusedError(
                    f"{len(self._loaded)} models are in memory, the limit is {self._max_loaded} "
                    "(checkpoints.max_loaded); unload one first"
                )
            await asyncio.wait(self._draining.values(), return_when=asyncio.FIRST_COMPLETED)

    async def _drain_and_close(self, model: ServedModel) -> None:
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(model.drained(), self._drain_s)
            cut = model.users
            await model.engine.close()
            _log.info("checkpoint_unloaded", checkpoint_id=model.checkpoint_id, cut=cut)
        finally:
            del self._draining[model]
        del model  # its tokenizer is freed here, what the library's heap kept of its weights by the next line
        await asyncio.to_thread(memory.give_back)

    async def _start(self, checkpoint_id: str, start: Callable[[], Awaitable[None]]) -> None:
        self._started_in_vain.add(checkpoint_id)
        await start()

    def _stage(self, opened: OpenedModel, reason: str) -> None:
        name = opened.model.checkpoint_id
        self._refused.add(name, reason, asyncio.get_running_loop().time())
        self._staged[name] = reason
        self._metrics.checkpoint_loads.labels("staged").inc()
        _log.info("checkpoint_staged", checkpoint_id=name, reason=reason)

    def _refuse(self, checkpoint_id: str, reason: str) -> None:
        self._refused.add(checkpoint_id, reason, asyncio.get_running_loop().time())
        self._metrics.checkpoint_loads.labels("refused").inc()
        _log.error("checkpoint_refused", checkpoint_id=checkpoint_id, reason=reason)

    def _ended(self, checkpoint_id: str) -> None:
        del self._loading[checkpoint_id]
        self._on_loading_ended()
