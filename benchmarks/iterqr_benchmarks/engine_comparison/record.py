"""`iterqr-bench record-prompts`: asks the demo's stack for the hints of every query and writes them down."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import grpc
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2_grpc as pb_grpc
from rich.console import Console
from rich.progress import track

from iterqr_benchmarks.catalog import build_catalog
from iterqr_benchmarks.engine_comparison.prompt_set import RecordedPrompt, save_prompts
from iterqr_benchmarks.errors import BenchmarkError
from iterqr_benchmarks.progress import StepDisplay, step
from iterqr_benchmarks.queries import TailQuery, load_queries
from iterqr_benchmarks.queries.load import QuerySetName
from iterqr_benchmarks.stack.lifecycle import exclusive, start_stack, stop_stack
from iterqr_benchmarks.stack.settings import StackSettings
from iterqr_benchmarks.stack.state import StackFolder

_DEADLINE_S = 60.0  # the reply has the hints only when a rewrite is complete
_HINTS_BUDGET_MS = 5_000  # no hint may be missing because this machine was busy
_QUERY_SETS: tuple[QuerySetName, ...] = ("heldout", "tuning")


class RecordError(BenchmarkError):
    """The server did not answer a query; the message names it."""


def record_prompts(run_folder: Path, settings: StackSettings, output: Path, console: Console) -> int:
    """Starts a stack of its own, writes the prompts and stops the stack; returns how many there are.

    Raises:
        BenchmarkError, DevNodeError: It could not be done; nothing is left running and `output` is as it was.
    """
    folder = StackFolder(run_folder)
    settings = replace(settings, hints_budget_ms=_HINTS_BUDGET_MS)
    with exclusive(folder):
        try:
            with StepDisplay(console) as steps:
                state = start_stack(folder, settings, build_catalog(seed=settings.seed), steps)
            prompts = _ask(state.server_address, console)
        finally:
            with StepDisplay(console) as steps, step(steps, "stop"):
                stop_stack(folder)
    save_prompts(output, prompts)
    console.print(f"{len(prompts)} prompts in {output}", highlight=False, soft_wrap=True)
    return len(prompts)


def _ask(address: str, console: Console) -> list[RecordedPrompt]:
    queries = [(name, query) for name in _QUERY_SETS for query in load_queries(name)]
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        service = pb_grpc.QueryRewriteServiceStub(channel)
        return [
            _prompt(service, name, query)
            for name, query in track(queries, "queries", console=console, disable=not console.is_terminal)
        ]


def _prompt(service: pb_grpc.QueryRewriteServiceStub, query_set: str, query: TailQuery) -> RecordedPrompt:
    request = pb.RewriteQueryRequest(query=query.query, region=query.region, max_rewrites=1)
    try:
        reply = service.RewriteQuery(request, timeout=_DEADLINE_S)
    except grpc.RpcError as error:
        raise RecordError(f"{query.query!r}: the server answered {error.code().name}: {error.details()}") from error
    return RecordedPrompt(query_set, query.query, query.region, tuple(reply.hints))
