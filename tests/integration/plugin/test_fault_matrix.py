"""Faults under constant search load: no search fails, none waits longer than it may, each is counted, all recover.

Searchers take turns between plain search and the same search through the pipeline, so both meet the same machine.

"In time" is added latency, of our pipeline over plain search in the same seconds: at most budget_ms + 20 ms. The median
must keep to exactly that. The 99th percentile of some hundred searches is one or two of them, on a machine that runs
the node, the rewrite server and the load on two cores: it is allowed `--fault-noise-ms` more (default 60).

`--fault-seconds` says how long each fault lasts (default 1.5). A table of all goes to build/bench/faults. With
`--fault-seconds 60 --fault-noise-ms 0` it is a measurement, whose table is kept in benchmarks/results.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from iterqr_benchmarks.report.versions import versions
from iterqr_dev_node import NodeInstance, NodeOptions, build_plugin
from iterqr_training.machine import this_machine
from opensearchpy import OpenSearch
from support.broken_endpoints import GARBAGE, HTTP_1
from support.certificates import make_identity
from support.clock_agent import clock_agent
from support.cluster_settings import cluster_settings
from support.dish_catalog import REWRITES, TYPO, index_dishes
from support.faulty_proxy import PASS, Behaviour, Cut, Delay, FaultyProxy, HangUp, Inject, Silence, faulty_proxy
from support.opensearch_node import DEFAULT_VERSION, TEST_SETTINGS, RunningCluster, RunningNode
from support.plugin_search import STATS, Body, eventually, match, pipeline_body, set_endpoint
from support.rewrite_server import RewriteServerProcess, rewrite_server_process
from support.scripted_service import answers, fails, reply, scripted_service
from support.search_load import Answered, Latencies, SearchLoad, added, latencies, search_load

pytestmark = [pytest.mark.node, pytest.mark.alone, pytest.mark.timeout(240)]

BUDGET_MS = 250
SEARCHERS = 4
SETTLED_S = 1.0  # after a fault begins, until searches and breakers have met it
BODIES: Sequence[Body] = tuple({"query": match(text), "size": size} for text, size in ((TYPO, 20), ("pad", 10)))
RESULTS = Path(__file__).resolve().parents[3] / "build" / "bench" / "faults" / "matrix.json"

UNASKED = {"breaker_open"}  # once enough calls have failed
IMPRESSIONS = "iterqr-impressions"
LOGGING = {"plugins.iterqr.impressions.enabled": True}
LOGGING_AT_START = {"plugins.iterqr.impressions.enabled": "true"}
NO_CACHE = {"plugins.iterqr.client.cache.enabled": False}  # or the node would do without its server


@dataclass(slots=True)
class Stage:
    """What a fault can break: the server itself, or the way to it; and the searches' node and pipeline."""

    client: OpenSearch
    urls: Sequence[str]
    index: str
    pipeline: str
    server: RewriteServerProcess
    proxy: FaultyProxy
    noise_ms: float
    rows: list[Row] = field(default_factory=list)
    mode: str = "fuse"


@dataclass(frozen=True, slots=True)
class Row:
    """What one fault did."""

    fault: str
    searches: int
    outcomes: dict[str, int]
    during: Latencies
    recovered_s: float


Strike = Callable[[Stage], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault and the outcomes that searches may have while it lasts.

    `fused_share`: at least this share of the searches that did not run out of time is fused all the same, and a third
    of all (on a busy machine budgets end without a fault, too). `spare`: whether the node knows a second way to the
    server, which the fault leaves alone. `in_expand`: whether mode expand, too, meets it.
    """

    name: str
    strike: Strike
    outcomes: set[str]
    fused_share: float = 0.0
    spare: bool = False
    in_expand: bool = False


@contextmanager
def killed(stage: Stage) -> Iterator[None]:
    stage.server.kill()
    try:
        yield
    finally:
        stage.server.start()


@contextmanager
def frozen(stage: Stage) -> Iterator[None]:
    stage.server.freeze()
    try:
        yield
    finally:
        stage.server.thaw()


def behaving(behaviour: Behaviour) -> Strike:
    """The way to the server is broken."""

    @contextmanager
    def strike(stage: Stage) -> Iterator[None]:
        stage.proxy.behave(behaviour)
        try:
            yield
        finally:
            stage.proxy.behave(PASS)

    return strike


def led_to(other: Callable[[], AbstractContextManager[str]]) -> Strike:
    """Somebody else answers at the server's address."""

    @contextmanager
    def strike(stage: Stage) -> Iterator[None]:
        with other() as address:
            stage.proxy.lead_to(address)
            try:
                yield
            finally:
                stage.proxy.lead_to(stage.server.address)

    return strike


@contextmanager
def again_and_again(*steps: Callable[[], object], every_s: float) -> Iterator[None]:
    """Takes the steps in turn until the end, and the last one then."""
    over = threading.Event()

    def go_on() -> None:
        number = 0
        while not over.wait(every_s):
            steps[number % len(steps)]()
            number += 1

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        steps[-1]()


@contextmanager
def flapping(stage: Stage) -> Iterator[None]:
    hang_up, serve = HangUp(), PASS
    with again_and_again(lambda: stage.proxy.behave(hang_up), lambda: stage.proxy.behave(serve), every_s=0.3):
        yield


@contextmanager
def settings_changed(stage: Stage) -> Iterator[None]:
    """Another endpoint, another pipeline, and back."""

    def configure(address: str, window: int, weight: float) -> None:
        set_endpoint(stage.client, address)
        put_pipeline(stage, {"window_size": window}, {"rewrite_weight": weight})

    first = (stage.proxy.address, 50, 0.5)
    second = (stage.server.address, 30, 2.0)
    with again_and_again(lambda: configure(*second), lambda: configure(*first), every_s=0.2):
        yield


@contextmanager
def without_the_service() -> Iterator[str]:
    """A gRPC server that has other services than ours."""
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(grace=None).wait()


@contextmanager
def speaking_tls() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        identity = make_identity(Path(folder), "localhost")
        pair = (identity.key.read_bytes(), identity.certificate.read_bytes())
    credentials = grpc.ssl_server_credentials([pair])
    with scripted_service(answers("pad thai"), credentials=credentials) as service:
        yield service.address


@contextmanager
def replying(data: bytes, compression: grpc.Compression = grpc.Compression.NoCompression) -> Iterator[str]:
    with scripted_service(lambda _request: data, compression=compression) as service:
        yield service.address


@contextmanager
def refusing(code: grpc.StatusCode) -> Iterator[str]:
    with scripted_service(fails(code)) as service:
        yield service.address


HUGE = reply(*(["a" * 8_000_000] * 4)).SerializeToString()
BOMB = reply("a" * 4_000_000).SerializeToString()  # a few KB on the wire; more would keep its own server busy
NO_GRPC = {"unavailable", "bad_reply"} | UNASKED

FAULTS = (
    Fault("server killed", killed, {"unavailable"} | UNASKED, in_expand=True),
    Fault("server frozen", frozen, {"timeout"} | UNASKED, in_expand=True),
    Fault("connections hung up", behaving(HangUp()), {"unavailable"} | UNASKED),
    Fault("connections silent", behaving(Silence()), {"timeout"} | UNASKED),
    Fault("answers too slow", behaving(Delay(BUDGET_MS / 1000 * 3)), {"timeout"} | UNASKED),
    Fault("garbage", behaving(Inject(GARBAGE)), NO_GRPC, in_expand=True),
    Fault("another protocol", behaving(Inject(HTTP_1)), NO_GRPC),
    Fault("replies cut in their middle", behaving(Cut(after_bytes=12)), NO_GRPC),
    Fault("another service", led_to(without_the_service), {"bad_reply"} | UNASKED),
    Fault("TLS where none is expected", led_to(speaking_tls), NO_GRPC),
    Fault(
        "replies that break the contract",
        led_to(lambda: replying(b"\xff\xff\xff\xff")),
        {"bad_reply"} | UNASKED,
        in_expand=True,
    ),
    Fault("replies of 32 MB", led_to(lambda: replying(HUGE)), NO_GRPC | {"timeout"}),
    Fault(
        "replies of 4 MB in 4 KB",
        led_to(lambda: replying(BOMB, grpc.Compression.Gzip)),
        NO_GRPC | {"timeout"},
    ),
    Fault(
        "server too busy",
        led_to(lambda: refusing(grpc.StatusCode.RESOURCE_EXHAUSTED)),
        {"rejected", "timeout"} | UNASKED,  # a refusal may come late on a busy machine
    ),
    Fault("server flapping", flapping, NO_GRPC | {"timeout", "fused"}, in_expand=True),
    Fault("one replica of two flapping", flapping, NO_GRPC | {"timeout", "fused"}, fused_share=0.9, spare=True),
    Fault("one replica of two silent", behaving(Silence()), {"timeout", "fused"}, fused_share=1.0, spare=True),
    Fault("settings changed", settings_changed, {"unavailable", "timeout", "fused"}, fused_share=0.5, in_expand=True),
)


@pytest.fixture(scope="module")
def fault_seconds(request: pytest.FixtureRequest) -> float:
    seconds: float = request.config.getoption("--fault-seconds")
    return seconds


@pytest.fixture(scope="module")
def stage(opensearch_node: RunningNode, request: pytest.FixtureRequest) -> Iterator[Stage]:
    index = opensearch_node.unique_name("faults")
    index_dishes(opensearch_node.client, index)
    with (
        rewrite_server_process(REWRITES) as server,
        faulty_proxy(server.address) as proxy,
        cluster_settings(opensearch_node.client, NO_CACHE),
    ):
        staged = Stage(
            opensearch_node.client,
            [opensearch_node.url],
            index,
            opensearch_node.unique_name("faults"),
            server,
            proxy,
            request.config.getoption("--fault-noise-ms"),
        )
        put_pipeline(staged)
        yield staged
        set_endpoint(opensearch_node.client, None)
        tell(staged)


def put_pipeline(stage: Stage, request: Body | None = None, response: Body | None = None) -> None:
    body = pipeline_body({"budget_ms": BUDGET_MS, "mode": stage.mode, **(request or {})}, response)
    stage.client.transport.perform_request("PUT", f"/_search/pipeline/{stage.pipeline}", body=body)


def counted(client: OpenSearch) -> dict[str, int]:
    outcomes: dict[str, int] = client.transport.perform_request("GET", STATS)["outcomes"]
    return outcomes


def tell(stage: Stage) -> None:
    """Writes what was measured, for people."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {**asdict(row), "added_p50": round(row.during.added_p50, 2), "added_p99": round(row.during.added_p99, 2)}
        for row in stage.rows
    ]
    told: dict[str, Any] = {
        "machine": asdict(this_machine()),
        "versions": versions(DEFAULT_VERSION),
        "budget_ms": BUDGET_MS,
        "noise_ms": stage.noise_ms,
        "faults": rows,
    }
    RESULTS.write_text(json.dumps(told, indent=1) + "\n")


def assert_in_time(stage: Stage, during: Latencies) -> None:
    assert during.added_p50 <= BUDGET_MS + 20, during
    assert during.added_p99 <= BUDGET_MS + 20 + stage.noise_ms, during


def assert_nobody_was_harmed(load: SearchLoad, besides: Callable[[Answered], bool] = lambda _search: False) -> None:
    assert not [pair for pair in load.pairs if pair.failed and not besides(pair.through)]
    assert not [pair for pair in load.pairs if pair.differs]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_of_the_server(stage: Stage, fault: Fault, fault_seconds: float) -> None:
    check_fault(stage, fault, fault_seconds, fault.name)


@pytest.fixture
def expanding_stage(stage: Stage) -> Stage:
    """The same node, through a pipeline that waits for rewrites before it searches."""
    expanding = replace(stage, pipeline=f"{stage.pipeline}-expanding", mode="expand")
    put_pipeline(expanding)
    return expanding


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.in_expand], ids=lambda fault: fault.name)
def test_a_fault_of_the_server_while_searches_wait_for_it(
    expanding_stage: Stage, fault: Fault, fault_seconds: float
) -> None:
    check_fault(expanding_stage, fault, fault_seconds, f"{fault.name}, expand")


def check_fault(stage: Stage, fault: Fault, fault_seconds: float, name: str) -> None:
    rewritten = "expanded" if stage.mode == "expand" else "fused"
    spare = f",{stage.server.address}" if fault.spare else ""
    set_endpoint(stage.client, stage.proxy.address + spare)
    before = counted(stage.client)
    with search_load(stage.urls, stage.index, stage.pipeline, BODIES, searchers=SEARCHERS) as load:
        load.wait_for_rewrites()
        begin_s = time.monotonic()
        with fault.strike(stage):
            struck_s = time.monotonic()
            load.run_for(SETTLED_S + fault_seconds)
            end_s = time.monotonic()
        recovered_s = load.wait_for_rewrites()
    assert_nobody_was_harmed(load)
    settled = load.outcomes(struck_s + SETTLED_S, end_s)
    assert settled, "nothing was searched while the fault lasted"
    assert set(settled) - {rewritten} <= fault.outcomes - {"fused"}, settled
    assert "fused" in fault.outcomes or not settled[rewritten], settled
    if fault.fused_share:
        assert settled[rewritten] >= fault.fused_share * (settled.total() - settled["timeout"]), settled
        assert settled[rewritten] >= settled.total() / 3, settled
    during = latencies(load.between(begin_s, end_s))
    stage.rows.append(Row(name, len(load.pairs), dict(settled), during, round(recovered_s, 2)))
    assert_in_time(stage, during)
    assert added(before, counted(stage.client)) == load.outcomes(), "each search is counted once, as what it was"


@contextmanager
def log_read_only(client: OpenSearch) -> Iterator[None]:
    """As the node itself makes indices when its disk is nearly full."""
    block = "index.blocks.read_only_allow_delete"
    client.indices.put_settings(index=IMPRESSIONS, body={block: True})
    try:
        yield
    finally:
        client.indices.put_settings(index=IMPRESSIONS, body={block: None})


def test_the_impression_log_cannot_be_written(stage: Stage, fault_seconds: float) -> None:
    """Searches are as ever; impressions wait, and none is lost."""
    set_endpoint(stage.client, stage.proxy.address)
    before, logged_before = counted(stage.client), logged(stage.client)
    with (
        cluster_settings(stage.client, LOGGING),
        search_load(stage.urls, stage.index, stage.pipeline, BODIES, searchers=SEARCHERS) as load,
    ):
        load.wait_for_rewrites()
        eventually(lambda: logged(stage.client)["written"] > logged_before["written"])
        begin_s = time.monotonic()
        with log_read_only(stage.client):
            load.run_for(SETTLED_S + fault_seconds)
            end_s = time.monotonic()
            assert logged(stage.client)["queued"] > 0
        load.end()
        eventually(lambda: logged(stage.client)["queued"] == 0, timeout_s=60)
        recovered_s = time.monotonic() - end_s
    assert_nobody_was_harmed(load)
    outcomes, during = load.outcomes(begin_s, end_s), latencies(load.between(begin_s, end_s))
    stage.rows.append(Row("log index read-only", len(load.pairs), dict(outcomes), during, round(recovered_s, 2)))
    assert_in_time(stage, during)
    assert set(outcomes) <= {"fused", "timeout"}
    assert outcomes["fused"] >= outcomes.total() / 3
    assert added(before, counted(stage.client)) == load.outcomes()
    logged_after = logged(stage.client)
    assert logged_after["written"] - logged_before["written"] == load.outcomes().total()
    assert [logged_after[name] - logged_before[name] for name in ("dropped", "refused", "failed")] == [0, 0, 0]


def logged(client: OpenSearch) -> dict[str, Any]:
    impressions: dict[str, Any] = client.transport.perform_request("GET", STATS)["impressions"]
    return impressions


JUMPS_EVERY_MS = 300
WARM_UP_S = 3.0  # the node has just started: its code is not compiled yet


@pytest.fixture
def jumping_stage(stage: Stage, tmp_path: Path) -> Iterator[Stage]:
    """A node of its own, whose wall clock jumps by hours and days all the time."""
    instance = NodeInstance.create(tmp_path / "jumping", DEFAULT_VERSION)
    try:
        instance.install(build_plugin(DEFAULT_VERSION))
        agent = clock_agent(instance, jumps_every_ms=JUMPS_EVERY_MS)
        url = instance.start(NodeOptions(settings={**TEST_SETTINGS, **LOGGING_AT_START}, java_agents=[agent])).url
        assert url is not None
        with OpenSearch(url, timeout=30) as client:
            index_dishes(client, "faults")
            staged = Stage(client, [url], "faults", "faults", stage.server, stage.proxy, stage.noise_ms, stage.rows)
            put_pipeline(staged)
            set_endpoint(client, stage.proxy.address)
            yield staged
    finally:
        instance.delete()


def test_the_wall_clock_jumps(jumping_stage: Stage, fault_seconds: float) -> None:
    """Back and forth. Nothing but what is written down goes by it: searches are as ever, breakers and budgets hold."""
    stage = jumping_stage
    before = counted(stage.client)
    with search_load(stage.urls, stage.index, stage.pipeline, BODIES, searchers=SEARCHERS) as load:
        load.run_for(WARM_UP_S)
        load.wait_for_rewrites()
        begin_s = time.monotonic()
        load.run_for(SETTLED_S + fault_seconds)
        end_s = time.monotonic()
    assert_nobody_was_harmed(load)
    outcomes, during = load.outcomes(begin_s, end_s), latencies(load.between(begin_s, end_s))
    stage.rows.append(Row("wall clock jumps", len(load.pairs), dict(outcomes), during, 0.0))
    assert_in_time(stage, during)
    assert set(outcomes) <= {"fused", "timeout"}
    assert outcomes["fused"] >= outcomes.total() / 3
    assert added(before, counted(stage.client)) == load.outcomes()
    eventually(lambda: logged(stage.client)["queued"] == 0)
    assert logged(stage.client)["written"] == load.outcomes().total()
    assert logged_span(stage.client) > timedelta(days=300), "the clock did jump"


def logged_span(client: OpenSearch) -> timedelta:
    """From the earliest to the latest impression, by what they say."""
    client.indices.refresh(index=IMPRESSIONS)
    ends = {"first": {"min": {"field": "@timestamp"}}, "last": {"max": {"field": "@timestamp"}}}
    told = client.search(index=IMPRESSIONS, body={"size": 0, "aggs": ends})["aggregations"]
    return timedelta(milliseconds=told["last"]["value"] - told["first"]["value"])


@pytest.fixture
def cluster_stage(plugin_cluster: RunningCluster, stage: Stage) -> Iterator[Stage]:
    """Three nodes that hold two copies of everything; the searchers ask the first two."""
    client = plugin_cluster.clients[0]
    index = plugin_cluster.unique_name("faults")
    index_dishes(
        client, index, shards=3, settings={"number_of_replicas": 1, "unassigned.node_left.delayed_timeout": "0"}
    )
    eventually(lambda: bool(client.cluster.health(index=index)["status"] == "green"), timeout_s=60)
    urls = [node.status().url or "" for node in plugin_cluster.cluster.nodes[:2]]
    staged = Stage(
        client, urls, index, plugin_cluster.unique_name("faults"), stage.server, stage.proxy, stage.noise_ms, stage.rows
    )
    put_pipeline(staged)
    set_endpoint(client, stage.proxy.address)
    with cluster_settings(client, NO_CACHE):
        yield staged
    set_endpoint(client, None)
    client.indices.delete(index=index)


def test_a_node_of_three_is_lost_while_it_searches(
    plugin_cluster: RunningCluster, cluster_stage: Stage, fault_seconds: float
) -> None:
    """The searchers' nodes are others; the one that is lost holds shards, and may be the cluster manager."""
    stage = cluster_stage
    before = counted(stage.client)
    before_lost = lost_nodes_own(stage.client)
    with search_load(stage.urls, stage.index, stage.pipeline, BODIES, searchers=SEARCHERS) as load:
        load.wait_for_rewrites()
        begin_s = time.monotonic()
        plugin_cluster.kill(2)
        killed_s = time.monotonic()
        load.run_for(fault_seconds)
        end_s = time.monotonic()
        load.wait_for_rewrites()
        plugin_cluster.start(2)
        recovered_s = load.wait_for_rewrites()
    # A search that is on its way while the node dies may lose the shards there, a plain one too.
    assert_nobody_was_harmed(load, besides=lambda search: search.started_s < killed_s and search.ended_s > begin_s)
    during = latencies(load.between(begin_s, end_s))
    stage.rows.append(
        Row("node of three lost", len(load.pairs), dict(load.outcomes(begin_s, end_s)), during, round(recovered_s, 2))
    )
    assert_in_time(stage, during)
    assert set(load.outcomes()) <= {"fused", "timeout", "windows_failed"}, load.outcomes()
    assert added(before, counted(stage.client)) + before_lost == load.outcomes()


def lost_nodes_own(client: OpenSearch) -> Counter[str]:
    """What the third node had counted itself: gone with it."""
    nodes = client.transport.perform_request("GET", STATS)["nodes"]
    return Counter(next(node["outcomes"] for node in nodes.values() if node["name"] == "node-2"))
