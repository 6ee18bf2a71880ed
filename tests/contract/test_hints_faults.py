"""No fault of the node fails a rewrite or costs more than the hints' own budget."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from iterqr_server.config import HintsConfig
from iterqr_server.hints.interface import HintsOutcome
from iterqr_server.hints.opensearch_source import OpenSearchHints
from support.rewrite_server import free_port

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes everything and never answers."""
    await reader.read(-1)
    writer.close()


def answers(status: str, body: bytes) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", request.lower())
        await reader.readexactly(int(length[1]) if length else 0)
        headers = ("content-type: application/json", f"content-length: {len(body)}", "connection: close")
        writer.write("\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body)
        await writer.drain()
        writer.close()

    return handle


@asynccontextmanager
async def hints_from(handler: Handler | None, budget_ms: int = 50) -> AsyncIterator[OpenSearchHints]:
    """A source whose node is `handler`; None for nobody at its port."""
    server = await asyncio.start_server(handler, "127.0.0.1", 0) if handler else None
    port = server.sockets[0].getsockname()[1] if server else free_port()
    source = OpenSearchHints(HintsConfig(url=f"http://127.0.0.1:{port}", budget_ms=budget_ms))
    try:
        await source.start()
        yield source
    finally:
        await source.close()
        if server:
            server.close()
            await asyncio.sleep(0)  # lets the connections see that their client has gone


@pytest.mark.parametrize(
    ("handler", "outcome"),
    [
        (None, HintsOutcome.UNAVAILABLE),
        (silent, HintsOutcome.TIMEOUT),
        (answers("200 OK", b"<html>not json</html>"), HintsOutcome.ERROR),
        (answers("200 OK", b'{"responses": 7}'), HintsOutcome.ERROR),
        (answers("200 OK", b"[]"), HintsOutcome.ERROR),
        (answers("500 Internal Server Error", b"{}"), HintsOutcome.ERROR),
        (answers("403 Forbidden", b'{"error": {"type": "security_exception"}}'), HintsOutcome.ERROR),
        (answers("429 Too Many Requests", b"{}"), HintsOutcome.ERROR),
    ],
)
async def test_faults_have_names(handler: Handler | None, outcome: HintsOutcome) -> None:
    async with hints_from(handler, budget_ms=500) as source:
        hints = await source.read("north", "pad tai")
        assert hints.outcome is outcome
        assert hints.titles == ()
        assert hints.outcome.is_failure
        assert source.version == ""


async def test_a_silent_node_costs_the_budget_and_no_more() -> None:
    async with hints_from(silent, budget_ms=50) as source:
        started = time.monotonic()
        reads = await asyncio.gather(*(source.read("north", f"query {i}") for i in range(20)))
        assert time.monotonic() - started < 1.0
        assert {hints.outcome for hints in reads} == {HintsOutcome.TIMEOUT}


async def test_a_source_that_is_not_started_says_so() -> None:
    source = OpenSearchHints(HintsConfig())
    assert (await source.read("north", "pad tai")).outcome is HintsOutcome.UNAVAILABLE
    await source.close()
