"""Calls of the server, made on an asyncio loop in a thread of its own for greenlets of the thread that uses it.

The calls' times are taken on that loop. With gRPC's own support of gevent, refusals took 480 ms (p50) that take 9 ms
for a plain asyncio client, while the engine kept all cores busy. Nothing here may be patched by gevent.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine

import gevent
import grpc
from gevent.event import AsyncResult
from grpc import aio
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2_grpc as pb_grpc

from iterqr_benchmarks.rpc_load.samples import OK, Call

PATIENCE_S = 5.0
"""How long after its deadline a reply is waited for where gRPC does not end the call."""
_NO_REPLY = "NO_REPLY"  # beside gRPC's statuses
_OPTIONS = [("grpc.enable_http_proxy", 0)]


class CallThread:
    """Makes calls and tells when they have ended. Its methods are called in the thread that made it.

    `epoch` is the value of `time.perf_counter` that `Call.started_s` counts from. `on_end` is called with every call
    that has ended, on the gevent hub: it must not wait.
    """

    def __init__(self, address: str, deadline_ms: float, epoch: float, on_end: Callable[[Call], None]) -> None:
        self._deadline_s = deadline_ms / 1000
        self._epoch = epoch
        self._on_end = on_end
        self._ended: deque[tuple[asyncio.Task[Call], AsyncResult[Call]]] = deque()
        self._wake_hub = gevent.get_hub().loop.async_()  # the one thing of a hub that other threads may call
        self._wake_hub.start(self._deliver)
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[Call]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="calls", daemon=True)
        self._thread.start()
        self._channel = asyncio.run_coroutine_threadsafe(self._open(address), self._loop).result()
        self._service = pb_grpc.QueryRewriteServiceStub(self._channel)

    def begin(self, query: str, *, due: float, repeated: bool, server_timed: bool) -> AsyncResult[Call]:
        """Begins a call that was `due` at a time of `time.perf_counter`; the result has it once it has ended."""
        result: AsyncResult[Call] = AsyncResult()
        self._loop.call_soon_threadsafe(self._start, self._call(query, due, repeated, server_timed), result)
        return result

    def close(self) -> None:
        """Ends the thread, once every call has ended."""
        asyncio.run_coroutine_threadsafe(self._channel.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._wake_hub.close()

    async def _open(self, address: str) -> aio.Channel:
        return aio.insecure_channel(address, options=_OPTIONS)

    def _start(self, call: Coroutine[None, None, Call], result: AsyncResult[Call]) -> None:
        task = self._loop.create_task(call)
        self._tasks.add(task)  # the loop itself holds tasks only weakly

        def end(task: asyncio.Task[Call]) -> None:
            self._tasks.discard(task)
            self._ended.append((task, result))
            self._wake_hub.send()

        task.add_done_callback(end)

    async def _call(self, query: str, due: float, repeated: bool, server_timed: bool) -> Call:
        began = time.perf_counter()
        code, rewrites = OK, 0
        request = pb.RewriteQueryRequest(query=query)
        try:
            async with asyncio.timeout(self._deadline_s + PATIENCE_S):
                reply = await self._service.RewriteQuery(request, timeout=None if server_timed else self._deadline_s)
            rewrites = len(reply.rewrites)
        except TimeoutError:
            code = _NO_REPLY
        except grpc.RpcError as error:
            code = error.code().name
        latency_ms = (time.perf_counter() - began) * 1000
        return Call(began - self._epoch, latency_ms, code, rewrites, repeated, server_timed, (began - due) * 1000)

    def _deliver(self) -> None:
        while self._ended:
            task, result = self._ended.popleft()
            failure = task.exception()
            if failure is not None:
                result.set_exception(failure)
                continue
            self._on_end(task.result())
            result.set(task.result())
