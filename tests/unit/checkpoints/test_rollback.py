"""A rollback reaches the registry though others write, hold the lease, or the registry is away for a while."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, Self

import pytest
from iterqr_proto.registry import CheckpointRegistry, RegistryUnreachableError, Split
from iterqr_proto.registry.lease import Lease
from iterqr_proto.registry.storage import Storage
from iterqr_proto.rewrite_format import RewriteInput, load_template, render
from iterqr_server.checkpoints.manager import CheckpointManager
from iterqr_server.checkpoints.memory import Room
from iterqr_server.checkpoints.opened_model import OpenedModel
from iterqr_server.checkpoints.router import TrafficRouter
from iterqr_server.checkpoints.swap_rules import SwapRules
from iterqr_server.config import CheckpointsConfig
from iterqr_server.engine.errors import EngineFatalError
from iterqr_server.rewrite.served_model import ServedModel
from iterqr_server.telemetry.metrics import Metrics
from support.predictable import predictable_engine

TEMPLATE = load_template()


async def opened_model(checkpoint_id: str) -> OpenedModel:
    engine = predictable_engine()

    async def room() -> Room:
        return Room(needed_bytes=1, available_bytes=None, reserve_bytes=0, name="memory")

    return OpenedModel(
        ServedModel(checkpoint_id, engine, TEMPLATE),
        lambda: engine.start(render(TEMPLATE, RewriteInput("warm up"))),
        room,
    )


async def tell_nobody(_serving: bool) -> None:
    pass


class Managed:
    """A manager whose checkpoints load at once."""

    def __init__(self, registry: CheckpointRegistry) -> None:
        self.registry = registry
        metrics = Metrics()
        self.router = TrafficRouter(metrics, lambda *_: None, window_s=60)
        self.manager = CheckpointManager(
            config=CheckpointsConfig(registry=registry.url, poll_s=0.05),
            registry=registry,
            router=self.router,
            metrics=metrics,
            base_id="base",
            open_base=lambda: opened_model("base"),
            open_checkpoint=opened_model,
            writer="this server",
            rules=SwapRules(beside=True, reload=False),
            max_held=8,
            tell_serving=tell_nobody,
        )

    async def __aenter__(self) -> Self:
        await self.manager.start()
        await self.until(lambda: self.router.canary is not None)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.manager.close()

    def break_canary(self) -> None:
        assert self.router.canary is not None
        assert self.manager.broken(self.router.canary, EngineFatalError("as planned"))

    @staticmethod
    async def until(condition: object) -> None:
        for _try in range(400):
            if condition():  # type: ignore[operator]
                return
            await asyncio.sleep(0.025)
        raise AssertionError("waited in vain")


@pytest.fixture
def registry(tmp_path: Path) -> CheckpointRegistry:
    registry = CheckpointRegistry(str(tmp_path))
    registry.write_state(Split("it1", "it2", 20), expected_generation=0)
    return registry


async def test_traffic_is_taken_away_at_once(registry: CheckpointRegistry) -> None:
    async with Managed(registry) as managed:
        managed.break_canary()
        assert [model.checkpoint_id for model in managed.router.routed] == ["it1"]
        await managed.until(lambda: registry.read_state().split == Split("it1"))
        assert registry.read_state().writer == "this server"


async def test_another_write_meanwhile_does_not_keep_the_canary(registry: CheckpointRegistry) -> None:
    """An operator raises the share in the same moment, having seen no alarm."""
    async with Managed(registry) as managed:
        registry.write_state(Split("it1", "it2", 50), expected_generation=1)
        managed.break_canary()
        await managed.until(lambda: registry.read_state().generation == 3)
        assert registry.read_state().split == Split("it1")


async def test_a_canary_that_was_replaced_meanwhile_is_left_alone(registry: CheckpointRegistry) -> None:
    async with Managed(registry) as managed:
        registry.write_state(Split("it1", "it3", 50), expected_generation=1)
        managed.break_canary()
        await managed.until(lambda: managed.router.canary and managed.router.canary.checkpoint_id == "it3")
        assert registry.read_state().split == Split("it1", "it3", 50)


async def test_a_held_lease_is_waited_for(registry: CheckpointRegistry) -> None:
    async with Managed(registry) as managed:
        with Lease(Storage(registry.url), "leases/state", holder="someone else", ttl_s=30):
            managed.break_canary()
            await asyncio.sleep(0.3)
            assert registry.read_state().generation == 1
            assert managed.router.canary is None
        await managed.until(lambda: registry.read_state().split == Split("it1"))


async def test_a_registry_that_is_away_is_written_when_it_is_back(
    registry: CheckpointRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile each poll still finds the canary in the state, and it gets no traffic."""
    async with Managed(registry) as managed:
        replace = Storage.replace

        def away(storage: Storage, path: str, content: bytes) -> Any:  # noqa: ANN401
            if path == "state.json":
                raise RegistryUnreachableError("away")
            return replace(storage, path, content)

        with monkeypatch.context() as patched:
            patched.setattr(Storage, "replace", away)
            managed.break_canary()
            ends = time.monotonic() + 0.5
            while time.monotonic() < ends:
                assert managed.router.canary is None
                await asyncio.sleep(0.01)
            assert registry.read_state().split.canary == "it2"
        await managed.until(lambda: registry.read_state().split == Split("it1"))


async def test_the_champion_is_not_taken_back(registry: CheckpointRegistry) -> None:
    async with Managed(registry) as managed:
        assert not managed.manager.broken(managed.router.champion(), EngineFatalError("as planned"))
        assert registry.read_state().generation == 1
