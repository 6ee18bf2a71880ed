"""`iterqr-bench search`: what searches cost with each way of rewriting, beside plain ones, on one node."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2_grpc as pb_grpc
from iterqr_dev_node import DEFAULT_VERSION, NodeInstance, NodeOptions, build_plugin
from iterqr_training.machine import this_machine
from opensearchpy import OpenSearch
from rich.console import Console

from iterqr_benchmarks.catalog import build_catalog
from iterqr_benchmarks.errors import BenchmarkError
from iterqr_benchmarks.index import DISHES_INDEX
from iterqr_benchmarks.progress import Step, StepDisplay, step
from iterqr_benchmarks.queries import load_queries
from iterqr_benchmarks.report.json_file import write_whole
from iterqr_benchmarks.report.versions import versions
from iterqr_benchmarks.search_load.arms import FEWER_REWRITES, PIPELINES, SERVER_SETTING, all_arms
from iterqr_benchmarks.search_load.plan import Arm, Plan, interleaved, write_plan
from iterqr_benchmarks.search_load.report import SearchLoadReport, report_html, report_json, report_table, verdict
from iterqr_benchmarks.search_load.samples import PhaseSamples, read_samples, summaries
from iterqr_benchmarks.stack.lifecycle import free_port
from iterqr_benchmarks.stack.server_process import last_lines, start_server, stop_server, write_config
from iterqr_benchmarks.stack.settings import SEED
from iterqr_benchmarks.stack.state import StackFolder
from iterqr_benchmarks.stack.world import fill_world

_HEAP_MB = 1024
_CALLERS = 4
_DEFAULT_REWRITES = 3  # of the plugin's pipelines
_FIRST_DEADLINE_S = 120.0
_BACKGROUND_MS = 500
_PHASE_GRACE_S = 40.0  # of waiting for a phase's node and server to be ready, and to be idle again


class SearchLoadError(BenchmarkError):
    """The load could not be made; the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class SearchLoadOptions:
    """`endpoint`: "" starts a server of its own. `queries`: how many different ones are searched again and again.
    `users`: at saturation.
    """  # fmt: skip

    folder: Path
    endpoint: str
    model: str
    queries: int
    rounds: int
    duration_s: float
    warm_up_s: float
    users: int


def run_search_load(options: SearchLoadOptions, console: Console) -> SearchLoadReport:
    """Measures and writes `report.json` and `report.html`.

    Raises:
        BenchmarkError, DevNodeError: Node, server or load do not run; nothing is left running.
    """
    options.folder.mkdir(parents=True, exist_ok=True)
    folder = StackFolder(options.folder)
    with ExitStack() as cleanup, StepDisplay(console) as steps:
        with step(steps, "rewrite server") as work:
            address, server_pid = _server(folder, options, cleanup)
            work.result = f"serves gRPC at {address}"
        with step(steps, "rewrites") as work:
            queries = _rewritten(address, options.queries)
            work.result = f"{len(queries)} queries have rewrites in the server's cache"
        with step(steps, "node") as work:
            url, node_pid = _start_node(folder, address, cleanup, work)
            work.result = f"{url}, {_HEAP_MB} MiB heap, {len(PIPELINES)} pipelines"
        plan = _plan(options, url, node_pid, server_pid, queries)
        with step(steps, "load") as work:
            phases = _make_load(plan, options.folder)
            work.result = f"{sum(len(each.latencies_ms) for each in phases):,} searches in {len(phases)} phases"
    report = SearchLoadReport(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=this_machine(),
        versions=versions(DEFAULT_VERSION),
        settings={
            "endpoint": options.endpoint or "own server, hints off",
            "model": options.model,
            "queries": len(queries),
            "rounds": options.rounds,
            "duration_s": options.duration_s,
            "users": options.users,
            "heap_mb": _HEAP_MB,
            "body": plan.body,
            "pipelines": PIPELINES,
        },
        summaries=tuple(summaries(phases)),
        rounds=tuple(each for each in phases if each.phase.round),
    )
    files = [options.folder / name for name in ("report.json", "report.html")]
    write_whole(files[0], report_json(report))
    write_whole(files[1], report_html(report))
    console.print(report_table(report), highlight=False)
    for line in verdict(report):
        console.print(line, highlight=False)
    for file in files:
        console.print(str(file), highlight=False, soft_wrap=True)
    return report


def _plan(
    options: SearchLoadOptions, url: str, node_pid: int, server_pid: int | None, queries: tuple[str, ...]
) -> Plan:
    arms: tuple[Arm, ...] = all_arms(f"127.0.0.1:{free_port()}")
    return Plan(
        url=url,
        index=DISHES_INDEX,
        body=_body(),
        node_pid=node_pid,
        server_pid=server_pid,
        arms=arms,
        phases=interleaved(
            arms,
            rounds=options.rounds,
            users=(1, options.users),
            duration_s=options.duration_s,
            warm_up_s=options.warm_up_s,
        ),
        queries=queries,
        words=(queries, tuple(dish.title for dish in build_catalog(seed=SEED).dishes[:500])),
        seed=SEED,
    )


def _body() -> dict[str, Any]:
    """An ordinary search: one text in two fields, ten hits. Cheap, so that what is added shows."""
    return {"size": 10, "query": {"multi_match": {"query": "QUERY", "fields": ["title^2", "description"]}}}


def _server(folder: StackFolder, options: SearchLoadOptions, cleanup: ExitStack) -> tuple[str, int | None]:
    stop_server(folder)  # of an earlier run that was killed
    if options.endpoint:
        return options.endpoint, None
    address = f"127.0.0.1:{free_port()}"
    write_config(
        folder.server_config,
        {
            "grpc": {"port": int(address.rpartition(":")[2])},
            "model": {"name": options.model},
            "hints": {"url": ""},
            # What nobody waits for any more would take processor time from the next searches.
            "rewrite": {"max_background_ms": _BACKGROUND_MS},
            "telemetry": {"prometheus_port": 0, "log_level": "warning"},
        },
    )
    cleanup.callback(stop_server, folder)
    return address, start_server(folder, address, cancelled=threading.Event(), timeout_s=600.0).pid


def _start_node(folder: StackFolder, address: str, cleanup: ExitStack, work: Step) -> tuple[str, int]:
    NodeInstance(folder.node).delete()
    node = NodeInstance.create(folder.node, DEFAULT_VERSION)
    cleanup.callback(node.delete)
    node.install(build_plugin(DEFAULT_VERSION))
    status = node.start(NodeOptions(heap_mb=_HEAP_MB, quick_start=False, settings={SERVER_SETTING: address}))
    if status.url is None or status.pid is None:
        raise SearchLoadError(f"the node ended after it had started; see {node.log}")
    with OpenSearch(status.url, timeout=60) as client:
        fill_world(client, build_catalog(seed=SEED), SEED, work.detail)
        for name, pipeline in PIPELINES.items():
            client.transport.perform_request("PUT", f"/_search/pipeline/{name}", body=pipeline)
    return status.url, status.pid


def _rewritten(address: str, count: int) -> tuple[str, ...]:
    """Returns queries that the server has rewritten, and so has in its cache."""
    texts = [each.query for each in load_queries("tuning")]
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        service = pb_grpc.QueryRewriteServiceStub(channel)

        def has_rewrites(query: str) -> bool:
            replies = [
                service.RewriteQuery(pb.RewriteQueryRequest(query=query, max_rewrites=most), timeout=_FIRST_DEADLINE_S)
                for most in (_DEFAULT_REWRITES, FEWER_REWRITES)
            ]
            return all(reply.rewrites for reply in replies)

        found: list[str] = []
        with ThreadPoolExecutor(_CALLERS) as callers:
            try:
                for start in range(0, len(texts), count):
                    batch = texts[start : start + count]
                    rewritten = zip(batch, callers.map(has_rewrites, batch), strict=True)
                    found += [query for query, has in rewritten if has]
                    if len(found) >= count:
                        break
            except grpc.RpcError as error:
                raise SearchLoadError(f"{address}: answers {error.code().name}: {error.details()}") from error
    if not found:
        raise SearchLoadError(f"{address}: has no rewrite for any query")
    return tuple(found[:count])


def _make_load(plan: Plan, folder: Path) -> list[PhaseSamples]:
    plan_file, samples_file, log = (folder / f"load.{name}" for name in ("plan.json", "samples.json", "log"))
    write_plan(plan_file, plan)
    command = [sys.executable, "-m", "iterqr_benchmarks.search_load.load_process", str(plan_file), str(samples_file)]
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        status = process.wait(sum(phase.duration_s + _PHASE_GRACE_S for phase in plan.phases))
    except subprocess.TimeoutExpired as error:
        raise SearchLoadError(f"the load did not end in time\n{last_lines(log)}") from error
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if status:
        raise SearchLoadError(f"the load failed (exit {status})\n{last_lines(log)}")
    samples = read_samples(samples_file)
    plan_file.unlink()
    samples_file.unlink()
    return samples
