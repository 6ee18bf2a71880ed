"""One server of a registry at a time has no model: the others serve until it is their turn."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from iterqr_proto.registry import CheckpointRegistry, LeaseHeldError, RegistryError
from iterqr_proto.registry.lease import Lease

from iterqr_server.checkpoints.errors import CheckpointRefusedError

ASK_AGAIN_S = 1.0
_KEEP_S = 10.0
_log = structlog.get_logger(__name__)


class ReloadTurns:
    """Turns are given by a lease in the registry, which a server that dies loses after a while."""

    def __init__(self, registry: CheckpointRegistry, holder: str) -> None:
        self._registry = registry
        self._holder = holder

    @asynccontextmanager
    async def turn(self, is_wanted: Callable[[], bool]) -> AsyncIterator[None]:
        """The block runs while no other server's does; `is_wanted` says whether it is still worth waiting for.

        Raises:
            CheckpointRefusedError: it is not.
            RegistryError: the registry cannot be read or written.
        """
        lease = self._registry.reload_lease(self._holder)
        await self._take(lease, is_wanted)
        ended = asyncio.Event()
        keeping = asyncio.create_task(self._keep(lease, ended))
        try:
            yield
        finally:
            ended.set()
            await keeping
            with contextlib.suppress(RegistryError):  # then it ends by itself
                await asyncio.to_thread(lease.__exit__, None, None, None)

    async def _take(self, lease: Lease, is_wanted: Callable[[], bool]) -> None:
        is_told = False
        while True:
            if not is_wanted():  # also at the first look: fetching it may have taken minutes
                raise CheckpointRefusedError("was not to be the champion any more when it was this server's turn")
            try:
                await asyncio.to_thread(lease.__enter__)
            except LeaseHeldError as held:
                if not is_told:
                    _log.info("reload_waits_for_its_turn", holder=held.holder)
                is_told = True
            else:
                return
            await asyncio.sleep(ASK_AGAIN_S)

    async def _keep(self, lease: Lease, ended: asyncio.Event) -> None:
        """Renews the lease until the end. One that is lost is not worth stopping for: it is a courtesy."""
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), _KEEP_S)
                return
            try:
                await asyncio.to_thread(lease.keep)
            except RegistryError as error:
                _log.warning("reload_turn_lost", reason=str(error))
                return
