"""What each channel retrieves, as the node says when it is asked directly, on an index that nobody writes to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from opensearchpy import OpenSearch
from opensearchpy.exceptions import OpenSearchException

from iterqr_benchmarks.errors import MarketplaceError
from iterqr_benchmarks.index import DISHES_INDEX, search_body

_NO_PIPELINE = {"search_pipeline": "_none"}


@dataclass(frozen=True, slots=True, order=True)
class WindowAsked:
    """A plain search: a text in a region, and how many hits."""

    region: str
    text: str
    size: int


@dataclass(frozen=True, slots=True)
class IndexState:
    """What changes whenever an index does: its last operation, documents, and segments."""

    last_operation: int
    documents: int
    deleted: int
    segments: int


def freeze(client: OpenSearch, index: str = DISHES_INDEX) -> IndexState:
    """Lets nobody write to an index any more, and returns how it is."""
    client.indices.put_settings(index=index, body={"index.blocks.write": True})
    return index_state(client, index)


def index_state(client: OpenSearch, index: str = DISHES_INDEX) -> IndexState:
    """Returns how an index is now."""
    told = client.indices.stats(index=index, params={"level": "shards"})["indices"][index]
    primaries = [copy for copies in told["shards"].values() for copy in copies if copy["routing"]["primary"]]
    return IndexState(
        last_operation=sum(each["seq_no"]["max_seq_no"] for each in primaries),
        documents=told["primaries"]["docs"]["count"],
        deleted=told["primaries"]["docs"]["deleted"],
        segments=told["primaries"]["segments"]["count"],
    )


@contextmanager
def unchanged(client: OpenSearch, before: IndexState, index: str = DISHES_INDEX) -> Iterator[None]:
    """Checks, entering and leaving, that an index is as it was when users searched.

    Raises:
        MarketplaceError: It is not; what the node says now is not what it said then.
    """
    for_now = "the index of dishes has changed since users searched it; begin anew (--fresh)"
    if index_state(client, index) != before:
        raise MarketplaceError(for_now)
    yield
    if index_state(client, index) != before:
        raise MarketplaceError(for_now)


def ask_windows(
    client: OpenSearch, asked: Iterable[WindowAsked], threads: int, on_detail: Callable[[str], None]
) -> Mapping[WindowAsked, tuple[str, ...]]:
    """Returns the ids that each plain search retrieves, best first; the same search is made once.

    Args:
        client: Of the node; used from several threads.
        asked: Searches, in any order.
        threads: Searches at the same time.
        on_detail: Called with news.

    Raises:
        MarketplaceError: The node does not answer.
    """
    distinct = sorted(set(asked))
    windows: dict[WindowAsked, tuple[str, ...]] = {}
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for window, found in zip(distinct, pool.map(lambda each: _ask(client, each), distinct), strict=True):
            windows[window] = found
            if len(windows) % 50 == 0:
                on_detail(f"{len(windows):,} of {len(distinct):,} plain searches")
    return windows


def _ask(client: OpenSearch, asked: WindowAsked) -> tuple[str, ...]:
    body = {**search_body(asked.text, asked.region, asked.size), "_source": False}
    try:
        found = client.search(index=DISHES_INDEX, body=body, params=_NO_PIPELINE)
    except OpenSearchException as error:
        raise MarketplaceError(f"a plain search failed: {str(error)[:300]}") from error
    return tuple(hit["_id"] for hit in found["hits"]["hits"])
