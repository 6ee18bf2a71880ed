"""A connection between the plugin and its rewrite server that can be broken in several ways while it is in use.

with faulty_proxy(server.address) as proxy:
    proxy.behave(Cut(after_bytes=20))   # connections there are and new ones
    proxy.behave(PASS)
    proxy.lead_to(other.address)        # drops the connections there are
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

_CHUNK = 65_536
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What happens to connections: nothing, in this one."""


@dataclass(frozen=True, slots=True)
class HangUp(Behaviour):
    """Connections are closed as soon as they are made."""


@dataclass(frozen=True, slots=True)
class Silence(Behaviour):
    """Connections are taken and stay open; no byte comes through either way."""


@dataclass(frozen=True, slots=True)
class Delay(Behaviour):
    """Every piece of an answer arrives later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Inject(Behaviour):
    """The server's bytes are replaced by others."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Cut(Behaviour):
    """Of the bytes that the server sends from now on, some come through; then the connection is reset."""

    after_bytes: int


PASS = Behaviour()


class FaultyProxy:
    """See the module's docstring."""

    def __init__(self, listener: socket.socket, target: str) -> None:
        self.address = f"127.0.0.1:{listener.getsockname()[1]}"
        self._listener = listener
        self._target = target
        self._behaviour = PASS
        self._changed = threading.Condition()
        self._over = False
        self._open: set[socket.socket] = set()

    def behave(self, behaviour: Behaviour) -> None:
        """Treats connections like this from now on; those there are, are dropped where they could not recover."""
        with self._changed:
            before, self._behaviour = self._behaviour, behaviour
            self._changed.notify_all()
        if isinstance(behaviour, HangUp) or isinstance(before, (Silence, Inject)):
            self._drop_all()

    def lead_to(self, target: str) -> None:
        """Leads new connections elsewhere and drops those there are."""
        with self._changed:
            self._target = target
        self._drop_all()

    def serve(self) -> None:
        """Takes connections until `close`."""
        while True:
            try:
                client, _peer = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def close(self) -> None:
        """Ends everything."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._drop_all()

    def _connect(self, client: socket.socket) -> None:
        with self._changed:
            behaviour, target = self._behaviour, self._target
        host, _, port = target.rpartition(":")
        try:
            if isinstance(behaviour, HangUp):
                raise ConnectionAbortedError
            server = socket.create_connection((host, int(port)), timeout=5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._changed:
            self._open |= {client, server}
        threading.Thread(target=self._pump, args=(client, server, False), daemon=True).start()
        self._pump(server, client, True)

    def _pump(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        try:
            while data := source.recv(_CHUNK):
                self._pass_on(data, sink, is_answer)
        except OSError:
            pass  # either side is gone, so the other goes too
        finally:
            for each in (source, sink):
                self._drop(each)

    def _pass_on(self, data: bytes, sink: socket.socket, is_answer: bool) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._over or not isinstance(self._behaviour, Silence))
            behaviour = self._behaviour
            if is_answer and isinstance(behaviour, Delay):
                self._changed.wait_for(lambda: self._over or self._behaviour is not behaviour, behaviour.seconds)
        if is_answer and isinstance(behaviour, Inject):
            data = behaviour.data
        if is_answer and isinstance(behaviour, Cut):
            sink.sendall(data[: behaviour.after_bytes])
            sink.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
            raise ConnectionResetError
        sink.sendall(data)

    def _drop_all(self) -> None:
        with self._changed:
            dropped = list(self._open)
        for each in dropped:
            self._drop(each)

    def _drop(self, connection: socket.socket) -> None:
        with self._changed:
            self._open.discard(connection)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it
        connection.close()


@contextmanager
def faulty_proxy(target: str) -> Iterator[FaultyProxy]:
    """Runs a proxy on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = FaultyProxy(listener, target)
        thread = threading.Thread(target=proxy.serve, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.close()
            thread.join(timeout=5)
