"""Hints read from OpenSearch: one round trip, its own small budget, never a reason to fail."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import structlog
from opensearchpy import AsyncOpenSearch
from opensearchpy.exceptions import ConnectionError as NodeConnectionError
from opensearchpy.exceptions import ConnectionTimeout, OpenSearchException

from iterqr_server.config import HintsConfig
from iterqr_server.hints.interface import Hints, HintsOutcome
from iterqr_server.hints.searches import HintIndexes, HintsReplyError, hint_searches, read_reply

_REFRESH_TIMEOUT_S = 2.0
_log = structlog.get_logger(__name__)


class OpenSearchHints:
    """A `HintSource` on one OpenSearch node or cluster."""

    def __init__(self, config: HintsConfig) -> None:
        self._config = config
        self._indexes = HintIndexes(
            hints=config.index,
            catalog=config.catalog_index,
            title_field=config.title_field,
            region_field=config.region_field,
            popularity_field=config.popularity_field,
        )
        self._version = ""
        self._reachable = True
        self._client: AsyncOpenSearch | None = None
        self._refresher: asyncio.Task[None] | None = None

    @property
    def version(self) -> str:
        """The concrete index behind the alias and the start of its UUID, as the last refresh saw it."""
        return self._version

    async def start(self) -> None:
        """Opens the client and looks the version up once; a node that is down only delays that."""
        self._client = AsyncOpenSearch(hosts=[self._config.url], max_retries=0, retry_on_timeout=False)
        await self._refresh(self._client)
        self._refresher = asyncio.create_task(self._refresh_for_ever(self._client))

    async def read(self, region: str, query: str) -> Hints:
        """Returns hints within `budget_ms`."""
        if self._client is None:
            return Hints((), HintsOutcome.UNAVAILABLE)
        config = self._config
        body = hint_searches(self._indexes, region, query, config.max_hints, config.budget_ms)
        try:
            async with asyncio.timeout(config.budget_ms / 1000):
                reply = await self._client.msearch(body=body)
            return read_reply(reply, config.title_field, config.max_hints, config.min_clients)
        except (TimeoutError, ConnectionTimeout):
            return Hints((), HintsOutcome.TIMEOUT)
        except NodeConnectionError:
            return Hints((), HintsOutcome.UNAVAILABLE)
        except (OpenSearchException, HintsReplyError) as error:
            _log.warning("hints_failed", error=type(error).__name__, reason=_short_reason(error))
            return Hints((), HintsOutcome.ERROR)

    async def close(self) -> None:
        """Stops the refresh and closes the client."""
        if self._refresher:
            self._refresher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._refresher
            self._refresher = None
        if self._client:
            await self._client.close()
            self._client = None

    async def _refresh_for_ever(self, client: AsyncOpenSearch) -> None:
        while True:
            await asyncio.sleep(self._config.refresh_s)
            await self._refresh(client)

    async def _refresh(self, client: AsyncOpenSearch) -> None:
        """Reads the version. On a fault the last one stays: entries cached under it are still right."""
        try:
            async with asyncio.timeout(_REFRESH_TIMEOUT_S):
                settings = await client.indices.get_settings(
                    index=self._config.index,
                    params={"ignore_unavailable": "true", "filter_path": "*.settings.index.uuid"},
                )
            version = read_version(settings)
        except (TimeoutError, OpenSearchException, HintsReplyError) as error:
            if self._reachable:
                _log.warning("hints_unreachable", index=self._config.index, error=type(error).__name__)
            self._reachable = False
            return
        if version != self._version or not self._reachable:
            _log.info("hints_version", index=self._config.index, version=version)
        self._version, self._reachable = version, True


def read_version(settings: Any) -> str:  # noqa: ANN401 - JSON
    """Returns `name@uuid` of every concrete index of a get-settings reply, joined by commas; empty for none.

    The UUID makes an index that was deleted and made again another version.

    Raises:
        HintsReplyError: the reply is malformed.
    """
    try:
        return ",".join(f"{name}@{settings[name]['settings']['index']['uuid'][:8]}" for name in sorted(settings))
    except (KeyError, TypeError) as error:
        raise HintsReplyError(f"malformed settings: {error!r}") from error


def _short_reason(error: Exception) -> str:
    """Names the fault without the node's message, which may quote the query."""
    status = getattr(error, "status_code", "")
    kind = getattr(error, "error", "") if status else str(error)
    return f"{status} {kind}".strip()[:200]
