"""Drain and reload: one champion is shut down, the next one started in its place, and calls wait in between.

Where there is no memory for two models. Calls that come meanwhile wait in a `HoldingEngine`, each within its deadline;
then they are answered by whichever model serves. If the next one does not start or fails its probes, the one before is
started again and serves on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from iterqr_server.checkpoints.errors import NoModelLeftError
from iterqr_server.checkpoints.model_pool import ModelPool
from iterqr_server.checkpoints.opened_model import OpenedModel
from iterqr_server.checkpoints.router import TrafficRouter
from iterqr_server.checkpoints.swap_rules import SwapRules
from iterqr_server.engine.errors import EngineFatalError
from iterqr_server.engine.holding import HoldingEngine
from iterqr_server.rewrite.served_model import ServedModel
from iterqr_server.telemetry.metrics import Metrics

_SETTLE_S = 15.0
"""Longest wait for a closed model's memory, which processes that end may give back a little later."""
_SETTLE_TICK_S = 0.25
_log = structlog.get_logger(__name__)


class Reload:
    """See the module. All methods are called on the event loop's thread; one `replace` at a time.

    `tell_serving` tells health checks, so that callers with several servers go to another meanwhile.
    """

    def __init__(
        self,
        *,
        pool: ModelPool,
        rules: SwapRules,
        router: TrafficRouter,
        open_model: Callable[[str], Awaitable[OpenedModel]],
        base_id: str,
        max_held: int,
        tell_serving: Callable[[bool], Awaitable[None]],
        metrics: Metrics,
    ) -> None:
        self._pool = pool
        self._rules = rules
        self._router = router
        self._open_model = open_model
        self._base_id = base_id
        self._max_held = max_held
        self._tell_serving = tell_serving
        self._metrics = metrics
        self.is_under_way = False

    async def replace(self, opened: OpenedModel) -> None:
        """Starts a model in place of all that are loaded, and routes all calls to it. A `Replace` of the pool.

        Raises whatever starting it raised, once the champion before, or else the base model, serves again. If neither
        does, the server is broken, which the router is told.
        """
        self.is_under_way = True
        try:
            if await self._give_up_idle_models() and not self._rules.why_not_beside(await opened.room()):
                await opened.start()
                return
            back = await self._open_model(self._router.champion().checkpoint_id)  # no champion goes without a way back
            holding, held = self._hold()
            try:
                await self._exchange(opened, held, back)
            except NoModelLeftError as error:
                self._metrics.reloads.labels("none_left").inc()
                holding.release(str(error))
                self._router.broken(held, EngineFatalError(str(error)))
                raise
            finally:
                holding.release()
                if back.model not in self._router.routed:
                    await back.model.engine.close()
        finally:
            self.is_under_way = False

    async def open_base(self) -> None:
        """Loads the base model into the pool. Raises what opening and starting it raises."""
        await self._put_in(await self._open_model(self._base_id))

    async def _put_in(self, opened: OpenedModel) -> ServedModel:
        await opened.start()
        self._pool.add(opened.model)
        return opened.model

    def _hold(self) -> tuple[HoldingEngine, ServedModel]:
        """Returns what takes the champion's calls while there is none. Nothing of it keeps the champion in memory."""
        champion = self._router.champion()
        holding = HoldingEngine(champion.engine.model_id, self._max_held)
        return holding, ServedModel(champion.checkpoint_id, holding, champion.template, champion.policy_json)

    async def _exchange(self, opened: OpenedModel, held: ServedModel, back: OpenedModel) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        names = {"champion": held.checkpoint_id, "checkpoint_id": opened.model.checkpoint_id}
        _log.info("reload_started", **names)
        await self._tell_serving(False)
        self._router.set(held)
        try:
            await self._take_out_all()
            drained_s = loop.time() - started
            await self._until_there_is_room(opened)
            await opened.start()
        except Exception:
            self._router.set(await self._go_back(back))
            await self._tell_serving(True)
            self._metrics.reloads.labels("brought_back").inc()
            _log.error("reload_failed", **names, seconds=round(loop.time() - started, 3))
            raise
        self._router.set(opened.model)
        self._metrics.swaps.inc()
        self._metrics.reloads.labels("replaced").inc()
        await self._tell_serving(True)
        _log.info("reloaded", **names, seconds=round(loop.time() - started, 3), drained_seconds=round(drained_s, 3))

    async def _take_out_all(self) -> None:
        """Drains and frees whatever is loaded. One that cannot be closed is told; loading the next tells the rest."""
        leaving = [self._pool.take_out(checkpoint_id) for checkpoint_id in list(self._pool.loaded)]
        for error in await asyncio.shield(asyncio.gather(*leaving, return_exceptions=True)):
            if error is not None:
                _log.error("champion_not_closed", reason=str(error))

    async def _give_up_idle_models(self) -> bool:
        """Takes out what is loaded and takes no calls: it goes before the champion. Returns whether there was any."""
        routed = {model.checkpoint_id for model in self._router.routed}
        idle = [name for name in self._pool.loaded if name not in routed]
        for checkpoint_id in idle:
            await asyncio.shield(self._pool.take_out(checkpoint_id))
        return bool(idle)

    async def _until_there_is_room(self, opened: OpenedModel) -> None:
        """Returns when there is, or after a while: loading it will tell whether it fits."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + _SETTLE_S
        while (await opened.room()).lack and loop.time() < ends:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(_SETTLE_TICK_S)

    async def _put_in_again(self, opened: OpenedModel) -> ServedModel:
        await self._until_there_is_room(opened)  # the one that failed may hold memory yet
        return await self._put_in(opened)

    async def _go_back(self, back: OpenedModel) -> ServedModel:
        """Returns the champion before, or else the base model, loaded again.

        Raises:
            NoModelLeftError: neither loads.
        """
        reasons = []
        try:
            return await self._put_in_again(back)
        except Exception as error:
            reasons.append(f"{back.model.checkpoint_id}: {error}")
            _log.error("champion_not_brought_back", checkpoint_id=back.model.checkpoint_id, exc_info=error)
        if back.model.checkpoint_id != self._base_id:
            try:
                return await self._put_in_again(await self._open_model(self._base_id))
            except Exception as error:
                reasons.append(f"{self._base_id}: {error}")
                _log.error("champion_not_brought_back", checkpoint_id=self._base_id, exc_info=error)
        raise NoModelLeftError(f"no model could be loaded again: {'; '.join(reasons)}")
