"""Constant searches through our pipeline and beside it, each observed: what came, when, and how long it took.

Each searcher takes turns: a plain search, the same search through the pipeline, and so on. So whatever the machine does
to one it does to the other, and a search that fails can be told from one that would have failed anyway.
"""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from support.plugin_search import Body

OK = 200
REWRITTEN = frozenset({"fused", "expanded"})
NO_ANSWER = 0


@dataclass(frozen=True, slots=True)
class Answered:
    """One search: HTTP status (NO_ANSWER if there was none), failed shards, ids in order, outcome if through ours."""

    started_s: float
    took_ms: float
    status: int
    failed_shards: int
    ids: tuple[str, ...]
    outcome: str = ""

    @property
    def ended_s(self) -> float:
        return self.started_s + self.took_ms / 1000

    @property
    def is_whole(self) -> bool:
        """Whether it was answered by every shard."""
        return self.status == OK and self.failed_shards == 0


@dataclass(frozen=True, slots=True)
class Pair:
    """A plain search, the same through our pipeline, and a plain one once more."""

    plain: Answered
    through: Answered
    plain_after: Answered

    @property
    def failed(self) -> bool:
        """Whether the search failed although plain search served just before and just after."""
        return not self.through.is_whole and self.plain.is_whole and self.plain_after.is_whole

    @property
    def differs(self) -> bool:
        """Whether no rewrite took part in the search and it still is not what plain search gave before and after."""
        return (
            self.through.is_whole
            and self.through.outcome not in REWRITTEN
            and self.plain.ids == self.plain_after.ids
            and self.plain.is_whole
            and self.through.ids != self.plain.ids
        )


@dataclass(frozen=True, slots=True)
class Latencies:
    """Of the same searches with and without our pipeline, in milliseconds."""

    searches: int
    plain_p50: float
    plain_p99: float
    through_p50: float
    through_p99: float

    @property
    def added_p50(self) -> float:
        return self.through_p50 - self.plain_p50

    @property
    def added_p99(self) -> float:
        return self.through_p99 - self.plain_p99


@dataclass(slots=True)
class SearchLoad:
    """Searchers that go on until the load is over. Observations are in `pairs`, by searcher in the order made."""

    urls: Sequence[str]
    index: str
    pipeline: str
    bodies: Sequence[Body]
    pairs: list[Pair] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def outcomes(self, since_s: float = 0.0, until_s: float = float("inf")) -> Counter[str]:
        """How searches through the pipeline ended that lie within a time."""
        return Counter(pair.through.outcome for pair in self.between(since_s, until_s) if pair.through.status == OK)

    def between(self, since_s: float, until_s: float = float("inf")) -> list[Pair]:
        """Pairs whose search through the pipeline started and ended within a time."""
        with self._changed:
            return [
                pair for pair in self.pairs if since_s <= pair.through.started_s and pair.through.ended_s <= until_s
            ]

    def run_for(self, seconds: float) -> None:
        """Lets the load go on."""
        self._over.wait(seconds)
        assert not self.errors, self.errors

    def wait_for_rewrites(self, in_a_row: int = 5, timeout_s: float = 30.0) -> float:
        """Waits until so many searches started after now have rewrites, in a row; returns how long it took."""
        start = time.monotonic()

        def recovered() -> bool:
            last = [pair.through.outcome for pair in self.pairs if pair.through.started_s > start][-in_a_row:]
            return bool(self.errors) or (len(last) == in_a_row and set(last) <= REWRITTEN)

        with self._changed:
            held = self._changed.wait_for(recovered, timeout_s)
        assert not self.errors, self.errors
        assert held, f"no rewrites again: {self.outcomes(start)}"
        return time.monotonic() - start

    def search_until_over(self, url: str, first_body: int) -> None:
        """One searcher."""
        address = urlsplit(url).netloc
        connection = http.client.HTTPConnection(address, timeout=60)
        try:
            for body in itertools.islice(itertools.cycle(self.bodies), first_body, None):
                if self._over.is_set():
                    return
                pair = Pair(
                    plain=self._plain(connection, body),
                    through=self._search(connection, body, self.pipeline),
                    plain_after=self._plain(connection, body),
                )
                with self._changed:
                    self.pairs.append(pair)
                    self._changed.notify_all()
        except BaseException as error:
            with self._changed:
                self.errors.append(error)
                self._changed.notify_all()
        finally:
            connection.close()

    def end(self) -> None:
        """No searcher starts another search."""
        self._over.set()

    def _plain(self, connection: http.client.HTTPConnection, body: Body) -> Answered:
        return self._search(connection, body, "_none")

    def _search(self, connection: http.client.HTTPConnection, body: Body, pipeline: str) -> Answered:
        path = f"/{self.index}/_search?search_pipeline={pipeline}"
        start = time.monotonic()
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            reply = connection.getresponse()
            status, told = reply.status, json.loads(reply.read())
        except (OSError, http.client.HTTPException):
            connection.close()  # opened again by the next search
            return Answered(start, (time.monotonic() - start) * 1000, NO_ANSWER, 0, ())
        took_ms = (time.monotonic() - start) * 1000
        if status != OK:
            return Answered(start, took_ms, status, 0, ())
        return Answered(
            started_s=start,
            took_ms=took_ms,
            status=status,
            failed_shards=told["_shards"]["failed"],
            ids=tuple(hit["_id"] for hit in told["hits"]["hits"]),
            outcome=told.get("ext", {}).get("iterqr", {}).get("outcome", ""),
        )


@contextmanager
def search_load(
    urls: Sequence[str], index: str, pipeline: str, bodies: Sequence[Body], *, searchers: int = 4
) -> Iterator[SearchLoad]:
    """Runs searchers, spread over the nodes and starting with different bodies, until the end."""
    load = SearchLoad(urls, index, pipeline, bodies)
    threads = [
        threading.Thread(target=load.search_until_over, args=(urls[number % len(urls)], number), daemon=True)
        for number in range(searchers)
    ]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.end()
        for thread in threads:
            thread.join(timeout=70)
    assert not load.errors, load.errors


def latencies(pairs: Sequence[Pair]) -> Latencies:
    """Percentiles of the pairs that were served both ways."""
    served = [pair for pair in pairs if pair.plain.is_whole and pair.through.is_whole]
    assert served, "no search was served"
    plain = sorted(each.took_ms for pair in served for each in (pair.plain, pair.plain_after) if each.is_whole)
    through = sorted(pair.through.took_ms for pair in served)
    return Latencies(
        searches=len(served),
        plain_p50=percentile(plain, 0.5),
        plain_p99=percentile(plain, 0.99),
        through_p50=percentile(through, 0.5),
        through_p99=percentile(through, 0.99),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that a share of the others does not exceed (nearest rank)."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def added(before: Mapping[str, int], after: Mapping[str, int]) -> Counter[str]:
    """What counters have counted in between."""
    return Counter({name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)})
