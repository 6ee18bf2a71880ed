"""The node that is checked: everything the check reads and writes there, and how it is all taken away again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch, helpers
from opensearchpy.exceptions import NotFoundError, OpenSearchException

from iterqr_training.errors import SourceError
from iterqr_training.signals.attribution_check.cases import WINDOW_SIZE
from iterqr_training.signals.attribution_check.planting import INDEX_PREFIX, PlantedDocument
from iterqr_training.signals.attribution_check.settings import CheckSettings

_BUDGET_MS = 20_000  # the check may wait for a slow model; it only needs the token that comes with its answer
_LATE_S = 5.0  # impressions are written behind the searches, by default within a second
_POLL_S = 0.2
_OWN_PIPELINE: Mapping[str, Any] = {
    "request_processors": [{"query_rewrite": {}}],
    "response_processors": [{"rewrite_channel": {}}],
}


@dataclass(frozen=True, slots=True)
class AnsweredPage:
    """What a search through the plugin came to. `page_token` is "" where there is none."""

    outcome: str
    page_token: str
    shown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoggedSearch:
    """An impression that was written: whose, and whether it has a client id."""

    query_id: str
    has_client_id: bool


class LiveSystem:
    """One run's index, searches and events on a node; `application` marks them all.

    Every method raises SourceError where the node does not answer as it should.
    """

    def __init__(self, client: OpenSearch, settings: CheckSettings, run_id: str) -> None:
        self._client = client
        self._settings = settings
        self.application = f"{INDEX_PREFIX}{run_id}"
        self.index = self.application
        self._searches = 0

    @contextmanager
    def planted(self, documents: Sequence[PlantedDocument]) -> Iterator[None]:
        """Makes the index, and takes away all that was written when the block ends, however it ends."""
        try:
            with _asking(f"index {self.index}"):
                self._client.indices.create(index=self.index, body=_index_body())
                actions = (
                    {"_index": self.index, "_id": each.object_id, "_source": {"text": each.text}} for each in documents
                )
                helpers.bulk(self._client, actions, refresh=True)
            yield
        finally:
            self._take_away()

    def window(self, text: str) -> tuple[str, ...]:
        """Asks the node itself what a text retrieves, without any pipeline: ids, best first."""
        with _asking("a plain search"):
            response = self._client.search(
                index=self.index,
                body={"query": _match(text), "size": WINDOW_SIZE, "_source": False},
                params={"search_pipeline": "_none"},
            )
        return _ids(response)

    def page(self, query_id: str, query: str, client_id: str, page_token: str = "") -> AnsweredPage:
        """Searches through the plugin."""
        section: dict[str, Any] = {"mode": "fuse", "window_size": WINDOW_SIZE, "budget_ms": _BUDGET_MS}
        if page_token:
            section["page_token"] = page_token
        ubi = {
            "query_id": query_id,
            "user_query": query,
            "client_id": client_id,
            "application": self.application,
            "object_id_field": "_id",
        }
        body: dict[str, Any] = {"query": _match(query), "size": WINDOW_SIZE, "ext": {"ubi": ubi, "iterqr": section}}
        params = {"search_pipeline": self._settings.pipeline}
        if not self._settings.pipeline:
            body["search_pipeline"] = _OWN_PIPELINE
            params = {}
        self._searches += 1
        with _asking("a search through the plugin"):
            response = self._client.search(index=self.index, body=body, params=params)
        facts = response.get("ext", {}).get("iterqr")
        if facts is None:
            raise SourceError(
                "a search through the plugin: its response has no ext.iterqr and so no page token; is the pipeline one "
                "of this plugin, and the UBI plugin not installed, which takes its place?"
            )
        return AnsweredPage(facts["outcome"], facts.get("page_token", ""), _ids(response))

    def logged(self) -> tuple[LoggedSearch, ...]:
        """Returns the impressions of this run that are written by now."""
        stream = self._settings.impressions
        with _asking(stream):
            try:
                self._client.indices.refresh(index=stream)
                found = self._client.search(
                    index=stream,
                    body={"query": self._own(), "size": 1_000, "_source": ["query_id", "client_id"]},
                    params={"search_pipeline": "_none"},
                )
            except NotFoundError:
                return ()
        sources = [hit["_source"] for hit in found["hits"]["hits"]]
        return tuple(LoggedSearch(each["query_id"], bool(each.get("client_id"))) for each in sources)

    def send(self, events: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Writes UBI events, each an id and a document, as an application does."""
        index = self._settings.events
        with _asking(index):
            if not self._client.indices.exists(index=index):
                raise SourceError(f"{index}: there is no such index; without events nothing can be attributed")
            actions = ({"_index": index, "_id": key, "_source": dict(source)} for key, source in events)
            helpers.bulk(self._client, actions, refresh=True)

    def _take_away(self) -> None:
        with _asking(f"delete what {self.application} has planted"):
            self._client.indices.delete(index=self.index, params={"ignore_unavailable": "true"})
            late_until = time.monotonic() + _LATE_S
            logged = self._delete_own(self._settings.impressions)
            while logged < self._searches and time.monotonic() < late_until:
                time.sleep(_POLL_S)
                logged += self._delete_own(self._settings.impressions)
            # Where the plugin writes UBI queries there is one for each impression; elsewhere there is none.
            queries = self._delete_own(self._settings.queries)
            while 0 < queries < logged and time.monotonic() < late_until:
                time.sleep(_POLL_S)
                queries += self._delete_own(self._settings.queries)
            self._delete_own(self._settings.events)

    def _delete_own(self, index: str) -> int:
        try:
            self._client.indices.refresh(index=index)
            done = self._client.delete_by_query(
                index=index, body={"query": self._own()}, params={"conflicts": "proceed", "refresh": "true"}
            )
        except NotFoundError:
            return 0
        deleted: int = done["deleted"]
        return deleted

    def _own(self) -> dict[str, Any]:
        return {"term": {"application": self.application}}


def _match(text: str) -> dict[str, Any]:
    return {"match": {"text": text}}


def _index_body() -> dict[str, Any]:
    # One shard, so that scores are comparable and ranks known.
    return {
        "settings": {"number_of_shards": 1, "number_of_replicas": 0},
        "mappings": {"dynamic": "strict", "properties": {"text": {"type": "text"}}},
    }


def _ids(response: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(hit["_id"] for hit in response["hits"]["hits"])


@contextmanager
def _asking(what: str) -> Iterator[None]:
    try:
        yield
    except (OpenSearchException, helpers.BulkIndexError) as error:
        raise SourceError(f"{what}: {type(error).__name__}: {error}") from error
