"""Load on a server of checkpoints: threads that rewrite one new query after the other, and what they got."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as rewrite_pb
from support.checkpoint_server import CheckpointServer


class Load:
    """Every `score_every`-th call asks for scores instead; 0 means none does."""

    def __init__(self, server: CheckpointServer, threads: int = 3, score_every: int = 0) -> None:
        self.replies: list[rewrite_pb.RewriteQueryResponse] = []
        self.begun_s: list[float] = []  # of each reply's call
        self.scored_by: list[str] = []
        self.failures: list[grpc.RpcError] = []
        self._both = threading.Lock()
        self._server = server
        self._score_every = score_every
        self._numbers = itertools.count(1)
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(i,)) for i in range(threads)]

    @property
    def ended(self) -> int:
        return len(self.replies) + len(self.scored_by) + len(self.failures)

    def _run(self, thread: int) -> None:
        while not self._stopped.is_set():
            number, begun_s = next(self._numbers), time.monotonic()
            try:
                if self._score_every and number % self._score_every == 0:
                    self.scored_by.append(self._server.score(f"dish {number}", [f"fine dish {number}"]).checkpoint_id)
                    continue
                reply = self._server.rewrite(f"dish {number}", client_id_hash=f"{thread}-{number % 50}")
                with self._both:
                    self.replies.append(reply)
                    self.begun_s.append(begun_s)
            except grpc.RpcError as error:
                self.failures.append(error)
            time.sleep(0.005)

    def answered_by(self) -> Counter[str]:
        return Counter(reply.checkpoint_id for reply in self.replies)

    def go_on(self, calls: int = 40) -> None:
        """Returns after so many more calls."""
        target = self.ended + calls
        self._server.wait_until(lambda: self.ended >= target)


@contextmanager
def load_on(server: CheckpointServer, threads: int = 3, score_every: int = 0) -> Iterator[Load]:
    load = Load(server, threads, score_every)
    for thread in load._threads:
        thread.start()
    try:
        yield load
    finally:
        load._stopped.set()
        for thread in load._threads:
            thread.join()


def suffix_of(reply: rewrite_pb.RewriteQueryResponse) -> str:
    return reply.rewrites[0].text.rpartition(" ")[2]
