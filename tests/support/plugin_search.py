"""Searches through our pipeline and, for comparison, without it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch
from opensearchpy.exceptions import RequestError
from support.opensearch_node import RunningNode

ENDPOINT_SETTING = "plugins.iterqr.server.endpoints"
STATS = "/_plugins/_iterqr/stats"
EVEN: Mapping[str, Any] = {"policy_version": 1, "policy_id": "even"}
"""A policy that gives every rewrite its whole weight."""
WEIGHTS: Mapping[str, Any] = {"rewrite_weight": 0.5, "rank_constant": 60}
"""Weights that `fusion_oracle` has too."""
Body = Mapping[str, Any]
Response = dict[str, Any]
Hit = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PluginSearch:
    """A node with our plugin, an index of dishes, and a pipeline with a patient budget."""

    node: RunningNode
    index: str
    pipeline: str

    @property
    def client(self) -> OpenSearch:
        return self.node.client

    def search(self, body: Body, *, index: str | None = None, pipeline: str | None = None, **params: str) -> Response:
        """A search through our pipeline."""
        return self._search(body, index or self.index, pipeline or self.pipeline, params)

    def plain(self, body: Body, *, index: str | None = None, **params: str) -> Response:
        """The same search without any pipeline."""
        return self._search(without_ext(body), index or self.index, "_none", params)

    def create_pipeline(
        self,
        request: Body | None = None,
        response: Body | None = None,
        *,
        before: Sequence[Body] = (),
        after: Sequence[Body] = (),
    ) -> str:
        """Makes a pipeline of our two processors, with other request processors before and after ours."""
        name = self.node.unique_name("pipeline")
        body = pipeline_body(request, response, before=before, after=after)
        self.client.transport.perform_request("PUT", f"/_search/pipeline/{name}", body=body)
        return name

    def counted(self, outcome: str) -> int:
        """How many searches this node has counted for an outcome."""
        count: int = self.client.transport.perform_request("GET", STATS)["outcomes"][outcome]
        return count

    @contextmanager
    def served_by(self, address: str) -> Iterator[None]:
        """Makes the node ask another rewrite server for a while."""
        before = current_endpoint(self.client)
        set_endpoint(self.client, address)
        try:
            yield
        finally:
            set_endpoint(self.client, before)

    def _search(self, body: Body, index: str, pipeline: str, params: Mapping[str, Any]) -> Response:
        response: Response = self.client.search(
            index=index, body=dict(body), params={"search_pipeline": pipeline, **params}
        )
        return response


def pipeline_body(
    request: Body | None = None,
    response: Body | None = None,
    *,
    before: Sequence[Body] = (),
    after: Sequence[Body] = (),
) -> dict[str, Any]:
    return {
        "request_processors": [
            *before,
            {"query_rewrite": {"budget_ms": 3000, "policy": EVEN, **(request or {})}},
            *after,
        ],
        "response_processors": [{"rewrite_channel": {**WEIGHTS, **(response or {})}}],
    }


def set_endpoint(client: OpenSearch, address: str | None) -> None:
    client.cluster.put_settings(body={"persistent": {ENDPOINT_SETTING: address}})


def current_endpoint(client: OpenSearch) -> str | None:
    endpoint: str | None = client.cluster.get_settings(params={"flat_settings": "true"})["persistent"].get(
        ENDPOINT_SETTING
    )
    return endpoint


def without_ext(body: Body) -> Body:
    """The body less our own section, which a search without the pipeline has no use for."""
    return {key: value for key, value in body.items() if key != "ext"}


def match(text: str) -> dict[str, Any]:
    return {"match": {"title": text}}


def hits(response: Response) -> list[Hit]:
    found: list[Hit] = response["hits"]["hits"]
    return found


def ids(response: Response) -> list[str]:
    return [hit["_id"] for hit in hits(response)]


def channels(hit: Hit) -> list[dict[str, Any]]:
    tagged: list[dict[str, Any]] = hit["fields"]["iterqr_channels"]
    return tagged


def channel_names(hit: Hit) -> list[str]:
    """original, or the text of a rewrite, for each channel that retrieved the hit."""
    return [channel.get("text", channel["name"]) for channel in channels(hit)]


def facts(response: Response) -> dict[str, Any]:
    """The search's own section: outcome, rewrites, timings."""
    section: dict[str, Any] = response["ext"]["iterqr"]
    return section


def outcome(response: Response) -> str:
    name: str = facts(response)["outcome"]
    return name


def untagged(hit: Hit) -> Hit:
    """A hit as it would be without our tag."""
    fields = {name: value for name, value in hit.get("fields", {}).items() if name != "iterqr_channels"}
    rest = {name: value for name, value in hit.items() if name != "fields"}
    return {**rest, "fields": fields} if fields else rest


def assert_plain_hits(response: Response, plain: Response, *, start: int = 0) -> None:
    """The hits are the plain response's in all but our tag, which says that the original retrieved them, and where."""
    assert [untagged(hit) for hit in hits(response)] == hits(plain)
    for rank, hit in enumerate(hits(response), start + 1):
        assert channels(hit) == [{"name": "original", "rank": rank, "score": hit["_score"]}]


def refusal(request: Callable[[], object]) -> dict[str, Any]:
    """The error of a request that the node refuses as the client's fault; empty if it answers."""
    try:
        request()
    except RequestError as refused:
        if refused.status_code != 400:
            raise
        body: Any = refused.info
        error: dict[str, Any] = body["error"]
        return error
    return {}


def eventually(holds: Callable[[], bool], *, timeout_s: float = 15.0) -> None:
    """Waits until something holds that happens outside of this process."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)
