"""Searches one query without and with the channel, through the ordinary client, and reads what came back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from opensearchpy import OpenSearch

from iterqr_benchmarks.demo.observation import ChannelTag, Hit, Observation, Rewriting, UsedRewrite
from iterqr_benchmarks.errors import DemoError
from iterqr_benchmarks.index import DISHES_INDEX, search_body
from iterqr_benchmarks.queries import TailQuery
from iterqr_benchmarks.stack.indexing import PIPELINE

CHANNELS_FIELD = "iterqr_channels"
_NO_PIPELINE = "_none"


class DemoSearch:
    """Searches of the catalog. `size`: hits asked for, at most the pipeline's window."""

    def __init__(self, client: OpenSearch, *, size: int) -> None:
        self._client = client
        self._size = size

    def warm_up(self, query: str, region: str) -> None:
        """Runs one query both ways, so that class loading and the first connection are not measured.

        Raises:
            DemoError: See `observe`.
        """
        body = search_body(query, region, self._size)
        self._search(body, _NO_PIPELINE)
        rewriting_of(self._search(_with_region(body, region), PIPELINE)[0])

    def observe(self, query: TailQuery, relevant: frozenset[str]) -> Observation:
        """Returns what a query showed.

        Args:
            query: Searched in its region.
            relevant: Dishes known to satisfy it.

        Raises:
            DemoError: A response is not as the plugin's contract says.
        """
        body = search_body(query.query, query.region, self._size)
        plain, plain_ms = self._search(body, _NO_PIPELINE)
        channel, channel_ms = self._search(_with_region(body, query.region), PIPELINE)
        return Observation(
            query=query.query,
            kind=query.kind,
            region=query.region,
            relevant=relevant,
            plain_hits=read_hits(plain, relevant),
            plain_ms=plain_ms,
            channel_hits=read_hits(channel, relevant),
            channel_ms=channel_ms,
            rewriting=rewriting_of(channel),
        )

    def _search(self, body: Mapping[str, Any], pipeline: str) -> tuple[dict[str, Any], float]:
        began = time.perf_counter()
        response: dict[str, Any] = self._client.search(
            index=DISHES_INDEX, body=dict(body), params={"search_pipeline": pipeline}
        )
        return response, (time.perf_counter() - began) * 1000


def read_hits(response: Mapping[str, Any], relevant: frozenset[str]) -> tuple[Hit, ...]:
    """Reads the hits of a response, channel tags included where it has them."""
    return tuple(
        Hit(
            dish_id=hit["_id"],
            title=hit["_source"]["title"],
            merchant=hit["_source"]["merchant"],
            satisfies=hit["_id"] in relevant,
            channels=tuple(_tag(tag) for tag in hit.get("fields", {}).get(CHANNELS_FIELD, [])),
        )
        for hit in response["hits"]["hits"]
    )


def rewriting_of(response: Mapping[str, Any]) -> Rewriting:
    """Reads a response's `ext.iterqr`.

    Raises:
        DemoError: There is none: the pipeline did not run.
    """
    told = response.get("ext", {}).get("iterqr")
    if told is None:
        raise DemoError("the response has no ext.iterqr: the search pipeline did not run")
    return Rewriting(
        outcome=told["outcome"],
        fix=told.get("fix", ""),
        intent=told.get("intent", ""),
        meaning=told.get("meaning", ""),
        hints=tuple(told.get("hints", ())),
        rewrites=tuple(
            UsedRewrite(each["rewrite_id"], each["text"], each["confidence"], each.get("retrieved", 0))
            for each in told.get("rewrites", ())
        ),
        checkpoint_id=told.get("checkpoint_id", ""),
        timings=_flat(told.get("timings", {})),
    )


def _tag(tag: Mapping[str, Any]) -> ChannelTag:
    return ChannelTag(
        name=tag["name"],
        rank=tag["rank"],
        score=tag["score"],
        rewrite_id=tag.get("rewrite_id", ""),
        text=tag.get("text", ""),
    )


def _with_region(body: Mapping[str, Any], region: str) -> dict[str, Any]:
    return {**body, "ext": {"iterqr": {"region": region}}}


def _flat(timings: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Nested timings as one level: `server.hints_ms` for `{"server": {"hints_ms": ...}}`."""
    flat: dict[str, float] = {}
    for name, value in timings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = float(value)
    return flat
