"""One server's checkpoints: follows the registry's state, loads beside the champion or in its place, swaps, and takes
canaries back.

The registry is written by operators' calls (`set_split`) and by automatic rollback, nothing else. All of it runs on the
event loop; what blocks runs on other threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import structlog
from iterqr_proto.registry import (
    CheckpointDamagedError,
    CheckpointRegistry,
    LeaseHeldError,
    LeaseLostError,
    ListedCheckpoint,
    RegistryError,
    RegistryState,
    Split,
    SplitError,
    StateConflictError,
)
from iterqr_proto.registry.checkpoint_registry import STATE_LEASE_S

from iterqr_server.checkpoints.alarms import Alarm, AlarmKind, AlarmLimits
from iterqr_server.checkpoints.errors import InTrafficError, NotLoadedError
from iterqr_server.checkpoints.model_pool import ModelPool, Replace
from iterqr_server.checkpoints.opened_model import OpenedModel
from iterqr_server.checkpoints.plan import plan
from iterqr_server.checkpoints.reload import Reload
from iterqr_server.checkpoints.reload_turns import ReloadTurns
from iterqr_server.checkpoints.router import TrafficRouter
from iterqr_server.checkpoints.status import Status
from iterqr_server.checkpoints.swap_rules import SwapRules
from iterqr_server.config import CheckpointsConfig
from iterqr_server.engine.errors import EngineFatalError
from iterqr_server.rewrite.served_model import ServedModel
from iterqr_server.telemetry.metrics import Metrics

T = TypeVar("T")
ALARM_TICK_S = 0.1
_WRITE_TRIES = 20
_log = structlog.get_logger(__name__)


class CheckpointManager:
    """See the module. `writer` names this server.

    Where the rules let a champion be shut down for the next one, at most `max_held` prompts wait meanwhile, and
    `tell_serving` is told when that begins and ends.
    """

    def __init__(
        self,
        *,
        config: CheckpointsConfig,
        registry: CheckpointRegistry,
        router: TrafficRouter,
        metrics: Metrics,
        base_id: str,
        open_base: Callable[[], Awaitable[OpenedModel]],
        open_checkpoint: Callable[[str], Awaitable[OpenedModel]],
        writer: str,
        rules: SwapRules,
        max_held: int,
        tell_serving: Callable[[bool], Awaitable[None]],
    ) -> None:
        self._config = config
        self._registry = registry
        self._router = router
        self._metrics = metrics
        self._base_id = base_id
        self._writer = writer
        self._rules = rules
        self._limits = AlarmLimits(
            min_calls=config.alarm_min_calls,
            max_extra_errors=config.alarm_extra_errors,
            max_latency_ratio=config.alarm_latency_ratio,
            max_drift=config.alarm_drift,
        )

        def open_model(name: str) -> Awaitable[OpenedModel]:
            return open_base() if name == base_id else open_checkpoint(name)

        self._pool = ModelPool(
            open_model=open_model,
            on_loading_ended=self._apply,
            rules=rules,
            max_loaded=config.max_loaded,
            drain_s=config.drain_s,
            metrics=metrics,
        )
        self._reload = Reload(
            pool=self._pool,
            rules=rules,
            router=router,
            open_model=open_model,
            base_id=base_id,
            max_held=max_held,
            tell_serving=tell_serving,
            metrics=metrics,
        )
        self._turns = ReloadTurns(registry, writer)
        self._promotion = asyncio.Lock()
        self._tried: dict[str, int] = {}
        self._state = RegistryState()
        self._taken_back: dict[str, str] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_unreadable = False

    async def start(self) -> None:
        """Serves what the registry's state says; a champion that cannot be loaded is replaced by the base model.

        Raises:
            EngineError: not even that loads; besides what `open_base` raises.
        """
        await self._read_state()
        if champion := self._state.split.champion:
            self._tried[champion] = self._state.generation
            await self._pool.load(champion)
        if not self._pool.loaded:
            await self._reload.open_base()
        self._router.set(self._pool.model(next(iter(self._pool.loaded))))
        self._apply()
        self._spawn(self._every(self._config.poll_s, self._poll))
        self._spawn(self._every(ALARM_TICK_S, self._watch))

    async def close(self) -> None:
        """Ends all that goes on and closes every engine. Calls are refused from its beginning."""
        self._router.set(None)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._pool.close()

    @property
    def generation(self) -> int:
        """Of the state that this server goes by."""
        return self._state.generation

    def split(self) -> Split:
        """Returns the split in force on this server, with the base model under its own id."""
        champion, *canary = [model.checkpoint_id for model in self._router.routed]
        return Split(champion, canary[0] if canary else "", self._router.canary_percent)

    def statuses(self) -> list[Status]:
        """Returns where everything stands that is in memory, on its way there, or was refused."""
        return self._pool.statuses()

    def gauges(self) -> dict[str, float]:
        """Returns this moment's values for the metrics endpoint."""
        return {
            "iterqr_ready": bool(self._router.routed) and not self._reload.is_under_way,
            "iterqr_checkpoints_loaded": len(self._pool.loaded),
            "iterqr_checkpoints_draining": self._pool.draining,
            "iterqr_checkpoint_reloading": self._reload.is_under_way,
            "iterqr_registry_generation": self._state.generation,
        }

    async def list_checkpoints(self) -> list[tuple[ListedCheckpoint, Status]]:
        """Returns the registry's checkpoints, newest first, and where each stands here.

        Raises:
            RegistryError: the registry cannot be read.
        """
        listed = await asyncio.to_thread(self._registry.list_checkpoints)
        return [(checkpoint, self._pool.status(checkpoint.checkpoint_id, checkpoint.problem)) for checkpoint in listed]

    async def load(self, checkpoint_id: str) -> Status:
        """Loads a checkpoint, or the base model by its id, beside the champion, and returns where it stands then.

        A refusal is a status; so is that there is no memory for it, where it may be the next champion all the same. The
        loading goes on if the caller leaves.

        Raises:
            RegistryError: it is not in the registry, or the registry cannot be read.
        """
        if checkpoint_id not in self._pool.loaded:
            if checkpoint_id != self._base_id and not self._pool.is_loading(checkpoint_id):
                with contextlib.suppress(CheckpointDamagedError):  # a refusal, told as such
                    await asyncio.to_thread(self._registry.manifest, checkpoint_id)
            await asyncio.shield(self._pool.start_loading(checkpoint_id))
        return self._pool.status(checkpoint_id)

    async def set_split(self, split: Split, expected_generation: int) -> RegistryState:
        """Writes a new split to the registry and goes by it at once.

        A staged champion is loaded in place of the present one first, as what no server has tried is not written. That
        goes on if the caller leaves.

        Raises:
            SplitError: it makes no sense.
            NotLoadedError: one of it is not loaded here, cannot be beside the other, or was refused.
            RegistryError: it was not written; StateConflictError if the state changed since `expected_generation`.
        """
        split.checked()
        if split.canary == self._base_id:
            raise SplitError("canary: the base model can only be the champion")
        champion = split.champion or self._base_id
        self._check_canary(split)
        split = replace(split, champion="" if champion == self._base_id else champion)
        if champion not in self._pool.loaded:
            if not self._pool.is_staged(champion):
                raise NotLoadedError(f"{champion} is not loaded on this server; load it first")
            return await asyncio.shield(self._spawn(self._promote(champion, split, expected_generation)))
        state = await self._write(split, expected_generation, "SetTrafficSplit")
        self._take(state)
        return state

    async def unload(self, checkpoint_id: str) -> None:
        """Drains and frees a checkpoint.

        Raises:
            NotLoadedError: it is not loaded.
            InTrafficError: it takes traffic, or is about to.
        """
        is_routed = self._pool.model(checkpoint_id) in self._router.routed
        if is_routed or checkpoint_id in (self._champion_id(), self._state.split.canary):
            raise InTrafficError(f"{checkpoint_id} takes traffic; set another split first")
        await asyncio.shield(self._pool.take_out(checkpoint_id))

    def broken(self, model: ServedModel, error: EngineFatalError) -> bool:
        """A model's engine broke. Returns whether the server goes on without it: it does unless it is the champion."""
        if self._router.routed[:1] == [model]:
            return False
        if model is self._router.canary:
            self._take_back(Alarm(AlarmKind.ENGINE, f"the engine failed: {error}"))
        elif model.checkpoint_id in self._pool.loaded and self._pool.model(model.checkpoint_id) is model:
            self._pool.take_out(model.checkpoint_id, f"the engine failed: {error}")
        return True

    def _check_canary(self, split: Split) -> None:
        """Raises NotLoadedError if the split has a canary that cannot be one here."""
        if not split.canary:
            return
        champion = split.champion or self._base_id
        for checkpoint_id in (split.canary, champion):
            if self._pool.is_staged(checkpoint_id) and checkpoint_id not in self._pool.loaded:
                reason = self._pool.status(checkpoint_id).reason
                raise NotLoadedError(
                    f"{split.canary} cannot be a canary of {champion} on this server, which has no room for both: "
                    f"{checkpoint_id}: {reason}; make it the champion without a canary"
                )
        if split.canary not in self._pool.loaded:
            raise NotLoadedError(f"{split.canary} is not loaded on this server; load it first")

    async def _promote(self, champion: str, split: Split, expected_generation: int) -> RegistryState:
        """Loads a staged champion, in place of the present one if it must be, then writes the split."""

        def is_expected() -> bool:
            return self._state.generation <= expected_generation

        try:
            async with self._promotion:
                present = await asyncio.to_thread(self._registry.read_state)
                if present.generation != expected_generation:  # nobody is to wait for a split that is not written
                    raise StateConflictError(expected_generation, present.generation)
                while self._pool.is_loading(champion):  # to be staged once more
                    await self._pool.start_loading(champion)
                await self._pool.start_loading(champion, self._replace_in_turn(is_expected))
                if champion not in self._pool.loaded:
                    raise NotLoadedError(f"{champion} was refused: {self._pool.status(champion).reason}")
                self._state = await self._write_in_turn(split, expected_generation, "SetTrafficSplit")
                return self._state
        finally:
            self._apply()

    def _champion_id(self) -> str:
        return self._state.split.champion or self._base_id

    async def _poll(self) -> None:
        if await self._read_state():
            self._apply()
        for checkpoint_id in list(self._taken_back):
            await self._write_rollback(checkpoint_id)

    async def _watch(self) -> None:
        if alarm := self._router.alarm(self._limits):
            self._take_back(alarm)

    async def _read_state(self) -> bool:
        """Returns whether there is a state to go by; one that cannot be read leaves all as it is."""
        before = self._state
        try:
            state = await asyncio.to_thread(self._registry.read_state)
        except RegistryError as error:
            if not self._is_unreadable:
                _log.error("registry_unreadable", url=self._registry.url, reason=str(error))
            self._is_unreadable = True
            self._metrics.registry_reads.labels("failed").inc()
            return False
        self._is_unreadable = False
        self._metrics.registry_reads.labels("succeeded").inc()
        if self._state is before and state != before:  # else this server wrote one meanwhile
            _log.info("registry_state", generation=state.generation, writer=state.writer, reason=state.reason)
            self._state = state
        return True

    def _take(self, state: RegistryState) -> None:
        """A state that this server wrote, or read to write one."""
        self._state = state
        self._apply()

    def _apply(self) -> None:
        """Routes what the state says as far as it is loaded, and starts to load the rest."""
        before = self._router.routed
        if not before or self._promotion.locked() or self._reload.is_under_way:  # or starting, or stopping
            return
        wanted = plan(
            self._state.split, base_id=self._base_id, loaded=self._pool.loaded, taken_back=self._taken_back.keys()
        )
        champion = self._pool.model(wanted.champion) if wanted.champion else before[0]
        canary = self._pool.model(wanted.canary) if wanted.canary else None
        if canary is champion:  # it is still the champion where the new one is not loaded yet
            canary = None
        self._router.set(champion, canary, wanted.canary_percent)
        if self._router.routed != before:
            self._metrics.swaps.inc()
            _log.info("swapped", **self._told(), generation=self._state.generation)
        for model in before:
            name = model.checkpoint_id
            if model not in self._router.routed and name not in (self._champion_id(), self._state.split.canary):
                self._pool.take_out(name)
        for checkpoint_id in wanted.to_load:
            if self._should_load(checkpoint_id):
                self._pool.start_loading(checkpoint_id, self._replace_if_champion(checkpoint_id))

    def _should_load(self, checkpoint_id: str) -> bool:
        """Whether to load what the state names. Calls wait for a champion that is reloaded: no state has it twice."""
        generation = self._state.generation
        if checkpoint_id != self._champion_id() or not self._rules.reload:
            return self._pool.may_try(checkpoint_id)
        if self._pool.started_in_vain(checkpoint_id) and self._tried.get(checkpoint_id) == generation:
            return False
        may_try = self._pool.may_try(checkpoint_id) or self._pool.is_staged(checkpoint_id)
        if may_try:
            self._tried[checkpoint_id] = generation
        return may_try

    def _replace_if_champion(self, checkpoint_id: str) -> Replace | None:
        """How it may take the place of the others: as long as the state says that it is the champion."""
        if checkpoint_id != self._champion_id():
            return None
        return self._replace_in_turn(lambda: checkpoint_id == self._champion_id())

    def _replace_in_turn(self, is_wanted: Callable[[], bool]) -> Replace:
        async def replace_in_turn(opened: OpenedModel) -> None:
            async with self._turns.turn(is_wanted):
                await self._reload.replace(opened)

        return replace_in_turn

    def _told(self) -> dict[str, Any]:
        split = self.split()
        return {"champion": split.champion, "canary": split.canary, "canary_percent": split.canary_percent}

    def _take_back(self, alarm: Alarm) -> None:
        """Takes the canary out of the traffic at once, then out of the registry's state."""
        canary = self._router.canary
        if canary is None:
            return
        reason = f"rolled back ({alarm.kind.value}): {alarm.reason}"
        self._router.set(self._router.champion())
        self._metrics.alarms.labels(alarm.kind.value).inc()
        self._metrics.swaps.inc()
        _log.error(
            "canary_rolled_back", checkpoint_id=canary.checkpoint_id, alarm=alarm.kind.value, reason=alarm.reason
        )
        self._taken_back[canary.checkpoint_id] = reason
        self._pool.take_out(canary.checkpoint_id, reason)
        self._spawn(self._write_rollback(canary.checkpoint_id, asyncio.get_running_loop().time()))

    async def _write_rollback(self, checkpoint_id: str, alarmed_at: float | None = None) -> None:
        """Writes the state without the canary; what cannot be written now is tried again at each poll."""
        reason = self._taken_back.get(checkpoint_id)
        for _try in range(_WRITE_TRIES):
            try:
                state = await asyncio.to_thread(self._registry.read_state)
                if reason and state.split.canary == checkpoint_id:
                    state = await self._write(Split(state.split.champion), state.generation, reason)
            except (StateConflictError, LeaseHeldError, LeaseLostError):
                await asyncio.sleep(random.uniform(0.01, 0.05))
                continue
            except RegistryError as error:
                _log.error("rollback_not_written", checkpoint_id=checkpoint_id, reason=str(error))
                return
            self._taken_back.pop(checkpoint_id, None)
            if alarmed_at is not None:
                self._metrics.rollback_seconds.observe(asyncio.get_running_loop().time() - alarmed_at)
            self._take(state)
            return

    async def _write_in_turn(self, split: Split, expected_generation: int, reason: str) -> RegistryState:
        """As `_write`, but waits for others that write, also for the end of one that died: going back costs more."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + STATE_LEASE_S
        while True:
            try:
                return await self._write(split, expected_generation, reason)
            except (LeaseHeldError, LeaseLostError):
                if loop.time() > ends:
                    raise
                await asyncio.sleep(random.uniform(0.01, 0.05))

    async def _write(self, split: Split, expected_generation: int, reason: str) -> RegistryState:
        state = await asyncio.to_thread(
            self._registry.write_state,
            split,
            expected_generation=expected_generation,
            writer=self._writer,
            reason=reason,
        )
        _log.info("registry_written", generation=state.generation, reason=reason)
        return state

    async def _every(self, seconds: float, job: Callable[[], Awaitable[None]]) -> None:
        """A bug in one round is logged and does not end the others."""
        while True:
            await asyncio.sleep(seconds * random.uniform(0.9, 1.0))  # servers that start together spread out
            try:
                await job()
            except Exception as error:
                _log.error("checkpoint_job_failed", exc_info=error)

    def _spawn(self, job: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
