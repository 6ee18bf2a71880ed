"""The load of a soak: searchers that each do one kind of thing after the other, in turn, until the end."""

from __future__ import annotations

import itertools
import json
import random
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from opensearchpy import OpenSearch
from opensearchpy.exceptions import NotFoundError, RequestError, TransportError

PAGES = 3
NOT_OURS = "_none"
CLIENTS = 200
"""Who searches; so many that every arm of an experiment has some."""

TURNS: Mapping[str, int] = {"fuse": 12, "pages": 3, "several at once": 2, "expand": 4, "shadow": 4, "client": 8}
"""How often a kind comes in a round; the others once. Most searches are to use the channel: in half an hour of refusals
no leak of it would show."""

RARE_EVERY = 8
RARE: frozenset[str] = frozenset({"fuse, not cached", "caller hangs up"})
"""Only in each eighth round: what nobody has rewritten keeps the model busy, and a caller who hangs up leaves open
whether the search was counted."""


@dataclass(slots=True)
class Tally:
    """What was done and what came of it. `units`: by query id, what decides whether the search is logged: its client's
    id, else its own. `given_up`: searches whose caller hung up before the answer.
    """  # fmt: skip

    done: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    units: dict[str, str] = field(default_factory=dict)
    given_up: int = 0
    failures: list[str] = field(default_factory=list)

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.done + other.done,
            self.outcomes + other.outcomes,
            self.units | other.units,
            self.given_up + other.given_up,
            self.failures + other.failures,
        )


@dataclass(frozen=True, slots=True)
class Target:
    """What is searched: an index with text in `title`, through a pipeline, by some texts."""

    url: str
    index: str
    pipeline: str
    texts: Sequence[str]


class Searcher:
    """One of the load's threads."""

    def __init__(self, target: Target, number: int, over: threading.Event) -> None:
        self.tally = Tally()
        self._target = target
        self._over = over
        self._number = number
        self._random = random.Random(number)
        self._serial = itertools.count()
        self._client = OpenSearch(target.url, timeout=60, max_retries=0)

    def run(self) -> None:
        """Goes on until the end. What fails that should not is told in the tally."""
        kinds = self._kinds()
        with self._client:
            for kind in self._order(list(kinds)):
                if self._over.is_set():
                    return
                try:
                    kinds[kind]()
                    self.tally.done[kind] += 1
                except (TransportError, OSError, KeyError) as failure:
                    self.tally.failures.append(f"{kind}: {type(failure).__name__}: {failure}"[:300])

    def _order(self, kinds: Sequence[str]) -> Iterator[str]:
        """Round after round, each in an order of its own."""
        for number in itertools.count(self._number):
            turns = [kind for kind in kinds for _ in range(TURNS.get(kind, 1))]
            if number % RARE_EVERY:
                turns = [kind for kind in turns if kind not in RARE]
            self._random.shuffle(turns)
            yield from turns

    def _kinds(self) -> dict[str, Callable[[], object]]:
        return {
            "fuse": lambda: self._counted(self._body()),
            "fuse, not cached": lambda: self._counted(self._body(region=f"r{self._number}-{next(self._serial)}")),
            "append": lambda: self._counted(self._body(fusion="append")),
            "interleave": lambda: self._counted(self._body(fusion="interleave")),
            "expand": lambda: self._counted({**self._body(mode="expand"), "sort": ["_score", "rating"]}),
            "shadow": lambda: self._counted(self._body(mode="shadow")),
            "client": self._client_searches,
            "highlighted": lambda: self._counted({**self._body(), "highlight": {"fields": {"title": {}}}}),
            "pages": self._pages,
            "several at once": self._several,
            "plain": self._plain,
            "passed through": lambda: self._counted({**self._body(), "sort": ["_doc"]}),
            "scroll": self._scroll,
            "refused query": self._refused,
            "missing index": self._missing,
            "caller hangs up": self._hang_up,
            "document written": self._write,
        }

    def _body(self, **ext: Any) -> dict[str, Any]:  # noqa: ANN401 - members of ext.iterqr
        text = self._random.choice(self._target.texts)
        body: dict[str, Any] = {"query": {"match": {"title": text}}, "size": 10}
        return {**body, "ext": {"iterqr": ext}} if ext else body

    def _search(self, body: dict[str, Any], **params: str) -> dict[str, Any]:
        told: dict[str, Any] = self._client.search(
            index=self._target.index, body=body, params={"search_pipeline": self._target.pipeline, **params}
        )
        return told

    def _counted(self, body: dict[str, Any]) -> dict[str, Any]:
        told = self._search(body)
        self._count(told)
        return told

    def _count(self, told: dict[str, Any], client_id: str = "") -> None:
        section = told["ext"]["iterqr"]
        self.tally.outcomes[section["outcome"]] += 1
        self.tally.units[section["query_id"]] = client_id or section["query_id"]

    def _client_searches(self) -> None:
        """One of the clients, who are in the arms of an experiment."""
        body = self._body()
        client_id = f"client-{self._random.randrange(CLIENTS)}"
        ubi = {"client_id": client_id, "user_query": body["query"]["match"]["title"], "application": "soak"}
        self._count(self._search({**body, "ext": {"ubi": ubi}}), client_id)

    def _pages(self) -> None:
        body = self._body()
        token = self._counted(body)["ext"]["iterqr"]["page_token"]
        for page in range(1, PAGES):
            self._counted({**body, "from": 10 * page, "ext": {"iterqr": {"page_token": token}}})

    def _several(self) -> None:
        lines: list[dict[str, Any]] = []
        for _ in range(4):
            lines += [{"index": self._target.index}, {**self._body(), "search_pipeline": self._target.pipeline}]
        for told in self._client.msearch(body=lines)["responses"]:
            self._count(told)

    def _plain(self) -> None:
        self._client.search(index=self._target.index, body=self._body(), params={"search_pipeline": NOT_OURS})

    def _scroll(self) -> None:
        told = self._search(self._body(), scroll="1m")
        self._count(told)
        self._client.clear_scroll(body={"scroll_id": [told["_scroll_id"]]})

    def _refused(self) -> None:
        try:
            self._search({"query": {"match": {"title": {"query": "x", "operator": "sometimes"}}}})
        except RequestError:
            return
        raise KeyError("a wrong query was answered")

    def _missing(self) -> None:
        try:
            self._client.search(
                index="no-such-index", body=self._body(), params={"search_pipeline": self._target.pipeline}
            )
        except NotFoundError:
            return
        raise KeyError("a search of no index was answered")

    def _hang_up(self) -> None:
        """Closes the connection when the search has just begun: it is cancelled, or answered to nobody."""
        body = json.dumps(self._body(region=f"gone{self._number}-{next(self._serial)}")).encode()
        address = urlsplit(self._target.url)
        path = f"/{self._target.index}/_search?search_pipeline={self._target.pipeline}"
        head = [
            f"POST {path} HTTP/1.1",
            f"Host: {address.netloc}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
            connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
        self.tally.given_up += 1

    def _write(self) -> None:
        """Rewrites one of the searcher's own few documents, so that hits change between window and fetch."""
        text = self._random.choice(self._target.texts)
        self._client.index(
            index=self._target.index, id=f"soak-{self._number}-{self._random.randrange(20)}", body={"title": text}
        )
