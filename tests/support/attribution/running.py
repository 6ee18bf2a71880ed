"""Runs cases of the attribution catalog on a node: an index or more for each, one search for each page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from opensearchpy import OpenSearch
from support.attribution.case import Case, Change, Document, Put, Tag, channel_name, identifier_of, index_of
from support.attribution.grading import Answer, Grade, grade
from support.plugin_search import EVEN, Hit, eventually, hits, set_endpoint
from support.scripted_service import reply, scripted_service

SETTINGS: Mapping[str, Any] = {
    "number_of_replicas": 0,
    "similarity": {"counted": {"type": "scripted", "script": {"source": "return query.boost * doc.freq;"}}},
    "analysis": {
        "filter": {"plural": {"type": "stemmer", "language": "minimal_english"}},
        "analyzer": {
            "stemmed": {"tokenizer": "standard", "filter": ["lowercase", "plural"]},
            "folded": {"tokenizer": "standard", "filter": ["lowercase", "asciifolding"]},
            "stopped": {"tokenizer": "standard", "filter": ["lowercase", "stop"]},
        },
    },
}
COUNTED: Mapping[str, Any] = {"type": "text", "similarity": "counted"}
MAPPINGS: Mapping[str, Any] = {
    "dynamic": "strict",
    "properties": {
        "title": {
            **COUNTED,
            "fields": {
                **{name: {**COUNTED, "analyzer": name} for name in ("stemmed", "folded", "stopped")},
                "prose": {"type": "text"},  # scored by BM25
            },
        },
        "subtitle": dict(COUNTED),
        "region": {"type": "keyword"},
        "price": {"type": "integer"},
        "parts": {"type": "nested", "properties": {"title": dict(COUNTED)}},
    },
}
BUDGET_MS = 20_000


@dataclass(slots=True)
class CaseRunner:
    """Runs cases on one node, with one rewrite service that knows each case's rewrites by its region."""

    client: OpenSearch
    prefix: str
    mappings: Mapping[str, Any] = field(default_factory=lambda: MAPPINGS)
    settings: Mapping[str, Any] = field(default_factory=lambda: SETTINGS)
    coordinators: Sequence[OpenSearch] = ()
    _cases: dict[str, Case] = field(default_factory=dict)
    _places: dict[str, str] = field(default_factory=dict)
    _pipelines: dict[str, str] = field(default_factory=dict)

    def run(self, cases: Sequence[Case]) -> list[Grade]:
        """Indexes all cases, then searches and grades one after the other; leaves nothing behind.

        With several coordinators every case is searched through each of them.
        """
        self._cases = {f"{self.prefix}-{number}": case for number, case in enumerate(cases)}
        self._places = self._shared_places()
        try:
            with self._rewriter():
                self._index()
                return [
                    grade(case, self._search(key, case, coordinator))
                    for coordinator in self.coordinators or (self.client,)
                    for key, case in self._cases.items()
                ]
        finally:
            self._clean_up()

    def _shared_places(self) -> dict[str, str]:
        """Where each case's indices are: cases with the same documents share them, unless they change on the way."""
        first: dict[str, str] = {}
        return {
            key: key if case.between else first.setdefault(repr((case.documents, case.before, case.shards)), key)
            for key, case in self._cases.items()
        }

    def _own_places(self) -> Iterator[tuple[str, Case]]:
        """Each place once, with a case that says what is there."""
        return ((key, case) for key, case in self._cases.items() if self._places[key] == key)

    @contextmanager
    def _rewriter(self) -> Iterator[None]:
        with scripted_service(self._rewrites) as service:
            set_endpoint(self.client, service.address)
            try:
                yield
            finally:
                set_endpoint(self.client, None)

    def _rewrites(self, request: pb.RewriteQueryRequest) -> bytes:
        case = self._cases[request.region]
        if case.between:
            self._wait_for_original_search(request.region)
            self._change(request.region, case.between)
        return case.answer(request) if case.answer else reply(*case.rewrites).SerializeToString()

    def _wait_for_original_search(self, key: str) -> None:
        def is_over() -> bool:
            stats = self.client.indices.stats(index=f"{key}-*", metric="search")  # no other case is searched there
            return bool(stats["_all"]["total"]["search"]["fetch_total"] > 0)

        eventually(is_over, timeout_s=5)

    def _index(self) -> None:
        self.client.indices.put_index_template(
            name=self.prefix,
            body={
                "index_patterns": [f"{self.prefix}-*"],
                "template": {"settings": {"index": dict(self.settings)}, "mappings": dict(self.mappings)},
            },
        )
        with ThreadPoolExecutor(max_workers=8) as pool:  # side by side, the node makes several in one go
            list(pool.map(self._create, *zip(*self._all_indices(), strict=True)))
        self._write(
            _bulk_put(self._name(key, index_of(name)), name, document)
            for key, case in self._own_places()
            for name, document in case.documents.items()
        )
        for key, case in self._own_places():
            if case.before:
                self._change(key, case.before)
        actions = [
            {"add": {**_filled(body, self._names(key, case)), "alias": self._alias(key, alias)}}
            for key, case in self._cases.items()
            for alias, body in case.aliases.items()
        ]
        if actions:
            self.client.indices.update_aliases(body={"actions": actions})

    def _all_indices(self) -> Iterator[tuple[str, int]]:
        for key, case in self._own_places():
            for letter in case.indices:
                yield self._name(key, letter), case.shards

    def _create(self, name: str, shards: int) -> None:
        body = {"settings": {"index": {"number_of_shards": shards}}}
        self.client.indices.create(index=name, body=body, params={"wait_for_active_shards": "0"})

    def _write(self, operations: Iterable[Sequence[Mapping[str, Any]]]) -> None:
        lines = [json.dumps(line, ensure_ascii=False) for operation in operations for line in operation]
        answer = self.client.bulk(body="\n".join(lines) + "\n", params={"refresh": "true"})
        assert not answer["errors"], [item for item in answer["items"] if next(iter(item.values()))["status"] >= 400]

    def _change(self, key: str, changes: Iterable[Change]) -> None:
        self._write(
            _bulk_put(self._name(key, index_of(change.document)), change.document, change.to)
            if isinstance(change, Put)
            else [
                {
                    "delete": {
                        "_index": self._name(key, index_of(change.document)),
                        "_id": identifier_of(change.document),
                    }
                }
            ]
            for change in changes
        )

    def _search(self, key: str, case: Case, coordinator: OpenSearch) -> Answer:
        outcomes, pages, tags = [], [], []
        retrieved: list[tuple[str, int]] = []
        token = ""
        for number, (start, size) in enumerate(case.pages):
            ext = {"region": key, **case.ext, **({"page_token": token} if token else {})}
            body = {"query": dict(case.shape(case.query)), "size": size, **({"from": start} if start else {})}
            response = coordinator.search(
                index=case.target.format(**self._names(key, case)),
                body=_filled({**body, **case.body, "ext": {"iterqr": ext}}, self._names(key, case)),
                params={"search_pipeline": self._pipeline(case), **case.params},
            )
            told = response["ext"]["iterqr"]
            outcomes.append(told["outcome"])
            pages.append(tuple(self._document(hit) for hit in hits(response)))
            for hit in hits(response):
                tags += [
                    self._tag(number, hit, channel, case)
                    for channel in hit.get("fields", {}).get("iterqr_channels", ())
                ]
            if number == 0:
                token = told["page_token"]
                if told["outcome"] == "fused":
                    retrieved = [(rewrite["text"], rewrite["retrieved"]) for rewrite in told["rewrites"]]
        return Answer(tuple(outcomes), tuple(pages), tuple(tags), tuple(retrieved))

    def _document(self, hit: Hit) -> str:
        letter = hit["_index"].rsplit("-", 1)[1]
        return hit["_id"] if letter == "a" else f"{hit['_id']}@{letter}"

    def _tag(self, page: int, hit: Hit, channel: Mapping[str, Any], case: Case) -> Tag:
        name = channel["name"]
        if name == "rewrite":
            number = int(channel["rewrite_id"], 16)
            said = case.rewrites[number - 1].strip()
            name = channel_name(number) if channel["text"] == said else f"rewrite {number} as {channel['text']!r}"
        return Tag(page, self._document(hit), name, channel["rank"], channel["score"])

    def _pipeline(self, case: Case) -> str:
        request = {
            "budget_ms": BUDGET_MS,
            "window_size": case.window_size,
            "max_rewrites": case.max_rewrites,
            "policy": dict(EVEN),
        }
        response = {
            "original_weight": case.weights.original,
            "rewrite_weight": case.weights.rewrite,
            "rank_constant": case.weights.rank_constant,
        }
        wanted = json.dumps([request, response])
        if wanted not in self._pipelines:
            name = f"{self.prefix}-{len(self._pipelines)}"
            body = {
                "request_processors": [{"query_rewrite": request}],
                "response_processors": [{"rewrite_channel": response}],
            }
            self.client.transport.perform_request("PUT", f"/_search/pipeline/{name}", body=body)
            self._pipelines[wanted] = name
        return self._pipelines[wanted]

    def _name(self, key: str, index: str) -> str:
        return f"{self._places[key]}-{index}"

    def _alias(self, key: str, alias: str) -> str:
        return f"alias-{key}-{alias}"  # no wildcard of indices has it

    def _names(self, key: str, case: Case) -> dict[str, str]:
        """Real names of the case's indices and aliases."""
        indices = {index: self._name(key, index) for index in case.indices}
        aliases = {alias: self._alias(key, alias) for alias in case.aliases}
        return {**indices, **aliases, "all": f"{self._places[key]}-*"}

    def _clean_up(self) -> None:
        self.client.indices.delete(index=f"{self.prefix}-*")
        self.client.indices.delete_index_template(name=self.prefix)
        for name in self._pipelines.values():
            self.client.transport.perform_request("DELETE", f"/_search/pipeline/{name}")
        self._pipelines.clear()


def _bulk_put(index: str, name: str, document: Document) -> list[Mapping[str, Any]]:
    routing = {"routing": document.routing} if document.routing else {}
    target = {"_index": index, "_id": identifier_of(name), **routing}
    return [{"index": target}, {"title": document.title, **document.fields}]


def _filled(value: Any, names: Mapping[str, str]) -> Any:  # noqa: ANN401 - any JSON
    """The value with `{a}` replaced by the real name of index a, wherever it stands."""
    if isinstance(value, Mapping):
        return {_filled(key, names): _filled(member, names) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_filled(member, names) for member in value]
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda found: names.get(found[1], found[0]), value)
    return value
