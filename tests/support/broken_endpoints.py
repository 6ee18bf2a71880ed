"""Ports behind which no rewrite server answers, each broken in its own way."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from support.rewrite_server import free_port


@contextmanager
def nobody_listens() -> Iterator[str]:
    """Connections are refused."""
    yield f"127.0.0.1:{free_port()}"


@contextmanager
def speaks(data: bytes, *, then_closes: bool) -> Iterator[str]:
    """Takes every connection, sends the same bytes, and closes it or keeps it open, reading nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _peer = listener.accept()
                except OSError:
                    return  # the listener is closed: the test is over
                taken.append(connection)
                try:
                    connection.sendall(data)
                except OSError:
                    continue  # the peer has hung up already
                if then_closes:
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=5)
            for connection in taken:
                connection.close()


GARBAGE = random.Random(3).randbytes(4096)
HTTP_1 = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nno\n"
