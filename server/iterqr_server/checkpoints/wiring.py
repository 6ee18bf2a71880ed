"""Puts one server's checkpoints together from its configuration."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from iterqr_proto.registry import CheckpointRegistry, RegistryError

from iterqr_server.checkpoints.base_model import BaseModel
from iterqr_server.checkpoints.loading import CheckpointEngines, CheckpointLoader, LoadingLimits
from iterqr_server.checkpoints.manager import CheckpointManager
from iterqr_server.checkpoints.opened_model import OpenedModel
from iterqr_server.checkpoints.probe_set import ProbeLimits, ProbeSet, ProbeSetError, load_probe_set
from iterqr_server.checkpoints.router import TrafficRouter
from iterqr_server.checkpoints.swap_rules import swap_rules
from iterqr_server.config import CheckpointsConfig, ConfigError, Settings
from iterqr_server.models.cache import cache_folder
from iterqr_server.telemetry.metrics import Metrics


def open_manager(
    settings: Settings,
    base: BaseModel,
    base_id: str,
    engines: CheckpointEngines,
    router: TrafficRouter,
    metrics: Metrics,
    port: int,
    tell_serving: Callable[[bool], Awaitable[None]],
) -> CheckpointManager:
    """Returns the manager, not started yet; see there for `tell_serving`.

    Raises:
        ConfigError: the registry's URL or the probe file cannot be used.
    """
    config = settings.checkpoints
    registry = open_registry(config)
    loader = CheckpointLoader(
        registry=registry,
        cache=Path(config.cache).expanduser() if config.cache else cache_folder() / "checkpoints",
        engines=engines,
        default_policy_json=base.policy_json,
        probes=read_probes(config),
        limits=LoadingLimits(
            memory_reserve_bytes=config.memory_reserve_mb << 20,
            probes=ProbeLimits(config.probe_min_valid, config.probe_max_ms),
            max_rewrites=settings.rewrite.max_rewrites,
            max_new_tokens=settings.rewrite.max_new_tokens,
        ),
    )

    async def open_base() -> OpenedModel:
        model = await base.prepare()
        return OpenedModel(model, lambda: base.start(model), lambda: loader.room(None))

    return CheckpointManager(
        config=config,
        registry=registry,
        router=router,
        metrics=metrics,
        base_id=base_id,
        open_base=open_base,
        open_checkpoint=loader.open,
        writer=f"{os.uname().nodename}:{port}",
        rules=swap_rules(settings),
        max_held=settings.engine.max_running + settings.engine.max_waiting,
        tell_serving=tell_serving,
    )


def open_registry(config: CheckpointsConfig) -> CheckpointRegistry:
    """Returns the configured registry; nothing is read yet.

    Raises:
        ConfigError: its URL cannot be used.
    """
    try:
        return CheckpointRegistry(config.registry)
    except RegistryError as error:
        raise ConfigError(f"checkpoints.registry: {error}") from error


def read_probes(config: CheckpointsConfig) -> ProbeSet:
    """Reads the configured probe set.

    Raises:
        ConfigError: it cannot be read or is not one.
    """
    path = Path(config.probes) if config.probes else None
    try:
        return load_probe_set(path)
    except OSError as error:
        raise ConfigError(f"checkpoints.probes: {path}: {error.strerror or error}") from error
    except ProbeSetError as error:
        raise ConfigError(f"checkpoints.probes: {error}") from error
