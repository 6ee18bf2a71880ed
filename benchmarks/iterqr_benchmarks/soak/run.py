"""`iterqr-bench soak`: mixed load through the plugin for a long time, and whether anything grows or gets lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from iterqr_dev_node import DEFAULT_VERSION, NodeInstance, NodeOptions, build_plugin
from iterqr_training.machine import this_machine
from opensearchpy import OpenSearch
from opensearchpy.helpers import scan
from rich.console import Console

from iterqr_benchmarks.catalog import build_catalog
from iterqr_benchmarks.index import DISHES_INDEX, dishes_mapping
from iterqr_benchmarks.progress import StepDisplay, step
from iterqr_benchmarks.report.json_file import write_whole
from iterqr_benchmarks.report.versions import versions
from iterqr_benchmarks.soak.checks import Counts, checks, trends
from iterqr_benchmarks.soak.mix import Searcher, Tally, Target
from iterqr_benchmarks.soak.report import SoakReport, soak_html, soak_json, soak_table
from iterqr_benchmarks.soak.sampled import is_sampled
from iterqr_benchmarks.soak.sampling import NodeSampler, Sample, SoakError
from iterqr_benchmarks.stack.indexing import create_index, index_documents
from iterqr_benchmarks.stack.settings import SEED

PIPELINE = "soak"
IMPRESSIONS = "iterqr-impressions"
UBI_QUERIES = "ubi_queries"
STATS = "/_plugins/_iterqr/stats"
_HEAP_MB = 512
_SAMPLE_RATE = 0.5
_SAMPLES = 60
_LEAST_BETWEEN_SAMPLES_S = 2.0
_RESTARTS = 10
_LEAST_BETWEEN_RESTARTS_S = 15.0
_DOWN_S = 3.0
_SETTLE_S = 30.0
NODE_SETTINGS = {
    "plugins.iterqr.impressions.enabled": "true",
    "plugins.iterqr.impressions.sample_rate": str(_SAMPLE_RATE),
    # Full within the warm-up, so that its filling is not taken for growth.
    "plugins.iterqr.client.cache.size": "1mb",
    "plugins.iterqr.ubi.write_queries": "true",
    "plugins.iterqr.experiment.name": "soak",
    "plugins.iterqr.experiment.treatment_percent": "60",
    "plugins.iterqr.experiment.shadow_percent": "20",
}


class RestartableServer(Protocol):
    """A rewrite server that the soak takes away and brings back."""

    @property
    def address(self) -> str:
        """As host:port; the same after a restart."""

    def start(self) -> object:
        """Returns when it serves."""

    def stop(self) -> object:
        """Returns when it has ended."""


@dataclass(frozen=True, slots=True)
class SoakOptions:
    """`texts`: what is searched for, again and again."""

    folder: Path
    minutes: float
    searchers: int
    texts: Sequence[str]


@dataclass(slots=True)
class _Observed:
    samples: list[Sample] = field(default_factory=list)
    restarts: int = 0
    faults: list[BaseException] = field(default_factory=list)


def run_soak(options: SoakOptions, server: RestartableServer, console: Console) -> SoakReport:
    """Soaks, writes `report.json` and `report.html`, and returns the report. The server runs before and after.

    Raises:
        BenchmarkError, DevNodeError: Node or server do not run; the node is not left running.
    """
    with StepDisplay(console) as steps, _running_node(options.folder, server) as (client, url, pid):
        with step(steps, "load") as work:
            sampler = NodeSampler(client, pid)
            tally, observed = _soak(options, url, sampler, server)
            work.result = (
                f"{sum(tally.outcomes.values()):,} searches through the pipeline, {observed.restarts} restarts"
            )
        with step(steps, "count") as work:
            idle = _idle(sampler, options.minutes * 60)
            counts = _counts(client, tally)
            work.result = f"{counts.in_index:,} impressions"
    report = SoakReport(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=this_machine(),
        versions=versions(DEFAULT_VERSION),
        settings={
            "minutes": options.minutes,
            "searchers": options.searchers,
            "heap_mb": _HEAP_MB,
            "node": NODE_SETTINGS,
        },
        samples=tuple(observed.samples),
        idle=idle,
        trends=trends(observed.samples),
        done=dict(tally.done),
        outcomes=dict(tally.outcomes),
        restarts=observed.restarts,
        counts=counts,
        checks=checks(observed.samples, idle, tally.outcomes, counts, tally.failures),
    )
    write_whole(options.folder / "report.json", soak_json(report))
    write_whole(options.folder / "report.html", soak_html(report))
    console.print(soak_table(report), highlight=False)
    return report


@contextmanager
def _running_node(folder: Path, server: RestartableServer) -> Iterator[tuple[OpenSearch, str, int]]:
    NodeInstance(folder / "node").delete()  # what a killed run may have left
    node = NodeInstance.create(folder / "node", DEFAULT_VERSION)
    try:
        node.install(build_plugin(DEFAULT_VERSION))
        endpoints = {"plugins.iterqr.server.endpoints": server.address}
        status = node.start(NodeOptions(heap_mb=_HEAP_MB, settings={**NODE_SETTINGS, **endpoints}))
        if status.url is None or status.pid is None:
            raise SoakError(f"the node ended after it had started; see {node.log}")
        with OpenSearch(status.url, timeout=60) as client:
            _prepare(client)
            yield client, status.url, status.pid
    finally:
        node.delete()


def _prepare(client: OpenSearch) -> None:
    create_index(client, DISHES_INDEX, dishes_mapping())
    dishes = build_catalog(seed=SEED).dishes
    index_documents(client, DISHES_INDEX, ((dish.dish_id, dish.document()) for dish in dishes), lambda _count: None)
    client.transport.perform_request("POST", "/_plugins/_iterqr/ubi/initialize")
    # A policy that lets every rewrite in, so that pages are fused and hits fetched.
    body: dict[str, Any] = {
        "request_processors": [{"query_rewrite": {"policy": {"policy_version": 1, "policy_id": "even"}}}],
        "response_processors": [{"rewrite_channel": {}}],
    }
    client.transport.perform_request("PUT", f"/_search/pipeline/{PIPELINE}", body=body)


def _soak(options: SoakOptions, url: str, sampler: NodeSampler, server: RestartableServer) -> tuple[Tally, _Observed]:
    seconds = options.minutes * 60
    over = threading.Event()
    observed = _Observed()
    target = Target(url, DISHES_INDEX, PIPELINE, options.texts)
    searchers = [Searcher(target, number, over) for number in range(options.searchers)]
    start = time.monotonic()

    def take_samples() -> None:
        while not over.wait(max(_LEAST_BETWEEN_SAMPLES_S, seconds / _SAMPLES)):
            observed.samples.append(sampler.sample(time.monotonic() - start))

    def restart_server() -> None:
        while not over.wait(max(_LEAST_BETWEEN_RESTARTS_S, seconds / _RESTARTS)):
            server.stop()
            over.wait(_DOWN_S)
            server.start()
            observed.restarts += 1

    def guarded(work: Any) -> Any:  # noqa: ANN401 - functions without arguments
        def run() -> None:
            try:
                work()
            except BaseException as fault:
                observed.faults.append(fault)
                over.set()

        return run

    work = [take_samples, restart_server, *(each.run for each in searchers)]
    threads = [threading.Thread(target=guarded(each)) for each in work]
    for thread in threads:
        thread.start()
    over.wait(seconds)
    over.set()
    for thread in threads:
        thread.join()
    if observed.faults:
        raise observed.faults[0]
    return sum((each.tally for each in searchers), Tally()), observed


def _idle(sampler: NodeSampler, at_s: float) -> Sample:
    """A sample when nothing is searched any more; searches whose callers hung up may take a moment to end."""
    deadline = time.monotonic() + _SETTLE_S
    while True:
        sample = sampler.sample(at_s)
        if sample.search_contexts == sample.search_tasks == 0 or time.monotonic() > deadline:
            return sample
        time.sleep(0.5)


def _counts(client: OpenSearch, tally: Tally) -> Counts:
    deadline = time.monotonic() + _SETTLE_S
    while True:
        told = client.transport.perform_request("GET", STATS)
        impressions = told["impressions"]
        if impressions["queued"] == impressions["ubi_queries"]["queued"] == 0 or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    client.indices.refresh(index=f"{IMPRESSIONS},{UBI_QUERIES}")
    logged = [hit["_source"]["query_id"] for hit in scan(client, index=IMPRESSIONS, _source=["query_id"])]
    sampled = {query_id for query_id, unit in tally.units.items() if is_sampled(unit, _SAMPLE_RATE)}
    return Counts(
        answered=tally.outcomes.total(),
        given_up=tally.given_up,
        counted=sum(told["outcomes"].values()),
        written=impressions["written"],
        sampled_out=impressions["sampled_out"],
        queued=impressions["queued"],
        dropped=impressions["dropped"],
        refused=impressions["refused"],
        failed=impressions["failed"],
        in_index=len(logged),
        distinct=len(set(logged)),
        strange=len(set(logged) - set(tally.units)),
        missing=len(sampled - set(logged)),
        unsampled=sum(not is_sampled(tally.units.get(query_id, query_id), _SAMPLE_RATE) for query_id in logged),
        ubi_queries=client.count(index=UBI_QUERIES)["count"],
    )
