"""The channel's own searches: whose they are, when they end, and that nobody's are not made."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr_dev_node import NodeInstance, NodeOptions, build_plugin
from opensearchpy import OpenSearch
from opensearchpy.exceptions import TransportError
from opensearchpy.helpers import bulk
from support.dish_catalog import MAPPINGS, REWRITES, TYPO, index_dishes
from support.opensearch_node import DEFAULT_VERSION, KNN_VERSION, TEST_SETTINGS, RunningNode
from support.plugin_search import (
    PluginSearch,
    Response,
    channels,
    eventually,
    hits,
    match,
    outcome,
    set_endpoint,
)
from support.rewrite_server import RunningServer
from support.scripted_service import answers, reply, scripted_service
from support.search_probe_plugin import CALLER, SearchProbe, build_search_probe

pytestmark = pytest.mark.node

BODY = {"query": match(TYPO), "size": 20}
TEXTS = REWRITES[TYPO]
NOODLES, PADS = 6, 20
PATIENT_MS = 20_000
SLOW_DOCUMENTS = 10
SLOW = {"query": {"bool": {"must": [match(TYPO)], "filter": [{"probe_slow": {"ms": 250}}]}}}
"""Takes 2.5 s in `slow_index`, and can be cancelled after each document."""


@dataclass(frozen=True, slots=True)
class Probed:
    """Our plugin beside the probe."""

    plugin: PluginSearch
    probe: SearchProbe
    slow_index: str

    def search(self, body: dict[str, Any], name: str, **params: str) -> Response:
        """A search that the probe knows by its name."""
        index = params.pop("index", self.plugin.index)
        pipeline = params.pop("pipeline", self.plugin.pipeline)
        response: Response = self.plugin.client.search(
            index=index,
            body=body,
            params={"search_pipeline": pipeline, **params},
            headers={"X-Opaque-Id": name, CALLER: f"caller of {name}"},
        )
        return response

    def is_running(self, name: str) -> bool:
        """Whether the client's search, or one on its behalf, is a task of the node."""
        met = self.probe.search_of(name)
        return any(met["task"] in (task["id"], task.get("parent")) for task in self.searching())

    def children_run(self, name: str) -> bool:
        return any(task.get("parent") == self.probe.search_of(name)["task"] for task in self.searching())

    def searching(self) -> list[dict[str, int]]:
        nodes = self.plugin.client.tasks.list(params={"actions": "indices:data/read/search"})["nodes"]
        return [
            {"id": task["id"], "parent": int(task.get("parent_task_id", ":-1").split(":")[1])}
            for node in nodes.values()
            for task in node["tasks"].values()
        ]


@pytest.fixture(scope="module", params=[DEFAULT_VERSION, KNN_VERSION])
def probed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, rewriter: RunningServer
) -> Iterator[Probed]:
    folder = tmp_path_factory.mktemp("probed")
    instance = NodeInstance.create(folder / "node", request.param)
    try:
        instance.install(build_plugin(request.param))
        instance.install(build_search_probe(instance, folder))
        url = instance.start(NodeOptions(settings=TEST_SETTINGS)).url
        assert url is not None
        client = OpenSearch(url, timeout=30)
        node = RunningNode(instance=instance, version=request.param, url=url, client=client)
        index_dishes(client, "dishes")
        settings = {"number_of_shards": 1, "number_of_replicas": 0}
        client.indices.create(index="slow", body={"settings": settings, "mappings": MAPPINGS})
        for number in range(SLOW_DOCUMENTS):  # each in a segment of its own
            client.index(index="slow", id=str(number), body={"title": "pad thai noodles"}, refresh=True)
        set_endpoint(client, rewriter.address)
        plugin = PluginSearch(node, "dishes", pipeline="")
        yield Probed(
            PluginSearch(node, "dishes", plugin.create_pipeline({"budget_ms": PATIENT_MS})), SearchProbe(client), "slow"
        )
        client.close()
    finally:
        instance.delete()


def test_they_are_the_callers_own(probed: Probed) -> None:
    """Thread context (a security plugin's filters go by it), task, timeout, routing and preference are the search's."""
    response = probed.search({**BODY, "timeout": "7s"}, "own", preference="_local", routing="north")
    assert outcome(response) == "fused"
    parent = probed.probe.search_of("own")
    children = probed.probe.children_of("own")
    assert len(children) >= 2, "windows, then the page's hits"
    for child in [parent, *children]:
        assert child["caller"] == "caller of own"
        assert child["let_in"] == "let in as caller of own"
        assert child["opaque_id"] == "own"
        assert (child["preference"], child["routing"]) == ("_local", "north")
        assert child["timeout"] == "7s"
    assert all(child["ended"] == "answered" for child in children)


def test_they_are_cancelled_with_the_search(probed: Probed) -> None:
    with ThreadPoolExecutor(max_workers=1) as pool:
        with probed.probe.holding(TEXTS[1]):
            search = pool.submit(probed.search, BODY, "cancelled")
            eventually(lambda: any(child.get("held") for child in children_if_any(probed, "cancelled")))
            task = probed.probe.search_of("cancelled")["task"]
            (node_id,) = probed.plugin.client.nodes.info()["nodes"]
            probed.plugin.client.tasks.cancel(task_id=f"{node_id}:{task}")
        failure = search.exception()
        if failure:  # the original, too, was still searched
            assert "cancelled" in f"{failure} {getattr(failure, 'info', '')}"
        else:
            assert outcome(search.result()) == "windows_failed"
    eventually(lambda: not probed.is_running("cancelled"))
    held = [child for child in probed.probe.children_of("cancelled") if child.get("held")]
    assert {child["ended"] for child in held} == {"cancelled"}


def test_they_end_with_the_budget(probed: Probed) -> None:
    pipeline = probed.plugin.create_pipeline({"budget_ms": 400})
    with ThreadPoolExecutor(max_workers=1) as pool:
        search = pool.submit(probed.search, SLOW, "slow", index=probed.slow_index, pipeline=pipeline)
        eventually(lambda: bool(children_if_any(probed, "slow")))
        eventually(lambda: not probed.children_run("slow"), timeout_s=10)
        assert not search.done(), "the original goes on"
        assert outcome(search.result()) == "timeout"
    for child in probed.probe.children_of("slow"):
        assert child["ended"] == "cancelled"
        assert milliseconds(child["cancel_after"]) <= 410


def test_a_failed_search_has_none(probed: Probed) -> None:
    script = {"script": {"script": {"source": "throw new IllegalArgumentException('no')"}}}
    failing = {"query": {"bool": {"must": [match(TYPO)], "filter": [script]}}}
    with late_rewrites(probed) as late:
        with pytest.raises(TransportError):
            probed.search(failing, "failed")
        late.answer()
        # The next search's rewrites come later still: its windows are searched, the failed search's are not.
        assert outcome(probed.search(BODY, "after the failed")) == "fused"
    assert probed.probe.children_of("failed") == []


def test_a_search_that_fails_for_want_of_a_shard_has_none(probed: Probed) -> None:
    """It fails when its response is made, after all of its phases."""
    name = "halved"
    script = {"script": {"script": {"source": "if (doc['price'].value == 3) { throw new Exception() } return true"}}}
    body = {"query": {"bool": {"must": [match(TYPO)], "filter": [script]}}}
    with late_rewrites(probed) as late:
        with pytest.raises(TransportError):
            probed.search(body, name, allow_partial_search_results="false")
        late.answer()
        assert outcome(probed.search(BODY, "after the halved")) == "fused"
    assert probed.probe.children_of(name) == []


@pytest.mark.parametrize(("index", "body"), [("slow", SLOW), ("dishes", BODY)], ids=["searching", "waiting"])
def test_a_client_that_has_hung_up_has_none(probed: Probed, index: str, body: dict[str, Any]) -> None:
    """While the original is searched, and while it waits for rewrites."""
    name = f"hung up on {index}"
    with late_rewrites(probed) as late:
        call = start_search(probed, index, body, name)
        assert late.called.wait(timeout=10)
        eventually(lambda: any(met["opaque_id"] == name for met in probed.probe.searches()))
        call.close()
        eventually(lambda: is_cancelled_or_gone(probed, name))
        late.answer()
        assert outcome(probed.search(BODY, f"after {name}")) == "fused"
        eventually(lambda: not probed.is_running(name))
    assert probed.probe.children_of(name) == []


@pytest.mark.parametrize("shows_query", [False, True], ids=["fetched at once", "fetched by channel"])
def test_an_update_between_the_windows_is_no_rewrites_find(probed: Probed, shows_query: bool) -> None:
    """The original's window has a document's older version, beyond the page; the rewrite's has the newer."""
    changed = f"pad-{PADS - 1}"
    body = {"query": match(TYPO), "size": 10}
    if shows_query:
        body["highlight"] = {"fields": {"title": {}}}
    response = changed_between_the_windows(probed, body, changed, "noodles")
    assert len(hits(response)) == 10
    assert changed not in {hit["_id"] for hit in hits(response)}
    kept = [hit["_id"] for hit in hits(response) if names(hit) == ["rewrite"]]
    assert kept[:2] == ["noodles-0", "noodles-1"], "older documents cannot be what became of it"


def test_an_update_of_a_document_of_the_plain_page_stays_the_originals(probed: Probed) -> None:
    response = changed_between_the_windows(probed, {"query": match(TYPO), "size": 10}, "pad-0", "noodles")
    (hit,) = [each for each in hits(response) if each["_id"] == "pad-0"]
    assert names(hit) == ["original", "rewrite"]
    assert channels(hit)[0]["rank"] == 1
    assert channels(hit)[0]["contribution"] == 0
    assert hit["_source"]["title"] == "noodles"


def changed_between_the_windows(probed: Probed, body: dict[str, Any], document: str, title: str) -> Response:
    """A fused response; the document gets the title after the original's window was searched, before the rewrite's."""
    client, index = probed.plugin.client, probed.plugin.node.unique_name("changing")
    client.indices.create(
        index=index, body={"settings": {"number_of_shards": 1, "number_of_replicas": 0}, "mappings": MAPPINGS}
    )
    documents = [(f"noodles-{n}", "noodles a" + " side" * n) for n in range(NOODLES)]
    documents += [(f"pad-{n}", "pad a" + " side" * n) for n in range(PADS)]
    bulk(client, ({"_index": index, "_id": name, "title": text} for name, text in documents), refresh=True)
    weights = {"original_weight": 0.1, "rewrite_weight": 1.0}
    pipeline = probed.plugin.create_pipeline({"budget_ms": PATIENT_MS}, weights)
    try:
        with (
            scripted_service(answers("noodles")) as service,
            probed.plugin.served_by(service.address),
            ThreadPoolExecutor(max_workers=1) as pool,
        ):
            with probed.probe.holding("noodles"):
                search = pool.submit(probed.search, body, index, index=index, pipeline=pipeline)
                eventually(lambda: windows_but_the_held_are_answered(probed, index))
                client.index(index=index, id=document, body={"title": title}, refresh=True)
            response = search.result()
    finally:
        client.indices.delete(index=index)
    assert outcome(response) == "fused"
    return response


class LateRewrites:
    """Answers its first call when told to, and all others at once."""

    def __init__(self) -> None:
        self._calls = itertools.count(1)
        self._told = threading.Event()
        self.called = threading.Event()

    def __call__(self, _request: pb.RewriteQueryRequest) -> bytes:
        if next(self._calls) == 1:
            self.called.set()
            assert self._told.wait(timeout=30)
        return reply(*TEXTS).SerializeToString()

    def answer(self) -> None:
        self._told.set()


@contextmanager
def late_rewrites(probed: Probed) -> Iterator[LateRewrites]:
    late = LateRewrites()
    with scripted_service(late) as service, probed.plugin.served_by(service.address):
        try:
            yield late
        finally:
            late.answer()


def names(hit: dict[str, Any]) -> list[str]:
    return [channel["name"] for channel in channels(hit)]


def children_if_any(probed: Probed, name: str) -> list[dict[str, Any]]:
    if not any(met["opaque_id"] == name for met in probed.probe.searches()):
        return []
    return probed.probe.children_of(name)


def windows_but_the_held_are_answered(probed: Probed, name: str) -> bool:
    children = children_if_any(probed, name)
    held = [child for child in children if child.get("held")]
    others = [child for child in children if not child.get("held")]
    return bool(held) and all(child.get("ended") for child in others)


def is_cancelled_or_gone(probed: Probed, name: str) -> bool:
    task = probed.probe.search_of(name)["task"]
    nodes = probed.plugin.client.tasks.list(params={"actions": "indices:data/read/search"})["nodes"]
    running = [each for node in nodes.values() for each in node["tasks"].values() if each["id"] == task]
    return all(each["cancelled"] for each in running)


def milliseconds(interval: str) -> float:
    units = {"ms": 1.0, "s": 1000.0}
    unit = "ms" if interval.endswith("ms") else "s"
    return float(interval.removesuffix(unit)) * units[unit]


def start_search(probed: Probed, index: str, body: dict[str, Any], name: str) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(probed.plugin.node.url).netloc, timeout=30)
    connection.request(
        "POST",
        f"/{index}/_search?search_pipeline={probed.plugin.pipeline}",
        body=json.dumps(body),
        headers={"Content-Type": "application/json", "X-Opaque-Id": name},
    )
    return connection
