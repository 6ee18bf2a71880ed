"""The real node: searches through the pipeline, UBI events by bulk, and impressions for what an earlier start did."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from opensearchpy import OpenSearch, helpers
from opensearchpy.exceptions import NotFoundError, OpenSearchException, RequestError

from iterqr_benchmarks.errors import MarketplaceError
from iterqr_benchmarks.index import DISHES_INDEX, search_body
from iterqr_benchmarks.marketplace.events import OBJECT_ID_FIELD, Delivery, iso
from iterqr_benchmarks.marketplace.transport import Page, SearchRequest

EVENTS_INDEX = "ubi_events"
IMPRESSIONS = "iterqr-impressions"
_STATS = "/_plugins/_iterqr/stats"
_CHUNK = 500
_SETTLE_S = 60.0


class OpenSearchNode:
    """See `MarketNode`.

    Args:
        client: The caller's; used from several threads. It must not retry: a search that was answered leaves traces.
        pipeline: Of the arm.
        application: Name that searches and events tell.
    """

    def __init__(self, client: OpenSearch, pipeline: str, application: str) -> None:
        self._client = client
        self._pipeline = pipeline
        self._application = application
        self._takes_event_time = takes_event_time(client)

    def search(self, request: SearchRequest) -> Page:
        """See `MarketNode`."""
        body = request_body(request, self._application)
        if self._takes_event_time:
            body = with_event_time(body, request.time)
        try:
            told = self._client.search(index=DISHES_INDEX, body=body, params={"search_pipeline": self._pipeline})
        except OpenSearchException as error:
            raise MarketplaceError(f"search {request.query_id} failed: {str(error)[:300]}") from error
        return page_of(told)

    def send_events(self, events: Sequence[Delivery]) -> int:
        """See `MarketNode`."""
        actions = (
            {
                "_op_type": "create",
                "_index": EVENTS_INDEX,
                "_id": each.document_id,
                "_source": each.document(self._application),
            }
            for each in events
        )
        created = 0
        try:
            for done, told in helpers.streaming_bulk(
                self._client, actions, chunk_size=_CHUNK, raise_on_error=False, max_retries=5
            ):
                result = told["create"]
                if not done and result["status"] != 409:  # 409: an earlier start has sent it
                    raise MarketplaceError(f"event {result['_id']} was refused: {result.get('error')}")
                created += done
        except OpenSearchException as error:
            raise MarketplaceError(f"events could not be sent: {str(error)[:300]}") from error
        return created

    def shown(self, query_ids: Sequence[str]) -> dict[str, Page]:
        """See `MarketNode`."""
        if not query_ids:
            return {}
        settle(self._client)
        pages: dict[str, Page] = {}
        for start in range(0, len(query_ids), _CHUNK):
            asked = list(query_ids[start : start + _CHUNK])
            body = {"size": len(asked), "query": {"terms": {"query_id": asked}}}
            found = self._client.search(index=IMPRESSIONS, body=body)["hits"]["hits"]
            pages |= {hit["_source"]["query_id"]: _page_of_impression(hit["_source"]) for hit in found}
        return pages


def settle(client: OpenSearch) -> None:
    """Waits until no search is under way and all that was shown can be found.

    Raises:
        MarketplaceError: It takes too long.
    """
    deadline = time.monotonic() + _SETTLE_S
    while _searching(client) or client.transport.perform_request("GET", _STATS)["impressions"]["queued"]:
        if time.monotonic() > deadline:
            raise MarketplaceError(f"searches or impressions were still under way after {_SETTLE_S:.0f} s")
        time.sleep(0.1)
    try:
        client.indices.refresh(index=IMPRESSIONS)
    except NotFoundError:  # nothing was ever shown
        client.indices.create_data_stream(name=IMPRESSIONS)


def _searching(client: OpenSearch) -> bool:
    told = client.tasks.list(params={"actions": "indices:data/read/search*"})
    return any(node["tasks"] for node in told["nodes"].values())


def request_body(request: SearchRequest, application: str) -> dict[str, Any]:
    """Returns the body of a search, its `ext` included."""
    ubi = {
        "query_id": request.query_id,
        "user_query": request.text,
        "application": application,
        "object_id_field": OBJECT_ID_FIELD,
    }
    if request.client_id:
        ubi["client_id"] = request.client_id
    return {
        **search_body(request.text, request.region, request.size),
        "_source": [OBJECT_ID_FIELD],
        "ext": {"iterqr": {"region": request.region}, "ubi": ubi},
    }


def with_event_time(body: Mapping[str, Any], moment: datetime) -> dict[str, Any]:
    """Returns the body with the simulated time of the search, which development nodes take."""
    ext = body["ext"]
    return {**body, "ext": {**ext, "iterqr": {**ext["iterqr"], "event_time": iso(moment)}}}


def takes_event_time(client: OpenSearch) -> bool:
    """Tells whether the node takes times of searches; others refuse them, and log the time of their own clock.

    Asks by a search that goes through no pipeline, so that it leaves no impression.
    """
    section = {"event_time": "2026-01-01T00:00:00Z"}
    body = {"size": 0, "query": {"match_none": {}}, "ext": {"iterqr": section}}
    try:
        client.search(index=DISHES_INDEX, body=body, params={"search_pipeline": "_none"})
    except RequestError:
        return False
    return True


def page_of(told: Mapping[str, Any]) -> Page:
    """Reads a response.

    Raises:
        MarketplaceError: It has no `ext.iterqr`: the pipeline did not run.
    """
    section = told.get("ext", {}).get("iterqr")
    if section is None:
        raise MarketplaceError("a response has no ext.iterqr: the search pipeline did not run")
    return Page(
        object_ids=tuple(hit["_id"] for hit in told["hits"]["hits"]),
        outcome=section["outcome"],
        source=section.get("source", ""),
        bucket=_bucket(section),
        rewrites=len(section.get("rewrites", ())),
    )


def _page_of_impression(document: Mapping[str, Any]) -> Page:
    rewrites = document.get("rewrites", ())
    return Page(
        object_ids=tuple(hit["object_id"] for hit in document.get("hits", ())),
        outcome=document["outcome"],
        source=rewrites[0]["source"] if rewrites else "",
        bucket=_bucket(document),
        rewrites=len(rewrites),
    )


def _bucket(section: Mapping[str, Any]) -> str:
    return str(section.get("experiment", {}).get("bucket", ""))
