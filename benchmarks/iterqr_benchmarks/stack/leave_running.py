"""`iterqr-bench up` and `down`: a stack that outlives the command."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from iterqr_benchmarks.catalog import build_catalog
from iterqr_benchmarks.index import DISHES_INDEX, search_body
from iterqr_benchmarks.progress import StepDisplay, step
from iterqr_benchmarks.stack.indexing import PIPELINE
from iterqr_benchmarks.stack.lifecycle import exclusive, start_stack, stop_stack
from iterqr_benchmarks.stack.settings import StackSettings
from iterqr_benchmarks.stack.state import StackFolder, StackState, node_is_running, read_state, server_is_running

# Neither is of a query set that measures anything.
_TRIED = (("north", "somthing warm n brothy"), ("south", "chiken burito no dairy"))


def bring_up(path: Path, settings: StackSettings, console: Console) -> StackState:
    """Starts a stack, or finds the one that runs, and prints what to try.

    Raises:
        BenchmarkError, DevNodeError: It could not be started; nothing is left running.
    """
    folder = StackFolder(path)
    with exclusive(folder):
        state = running_stack(folder)
        if state is None:
            with StepDisplay(console) as steps:
                state = start_stack(folder, settings, build_catalog(seed=settings.seed), steps)
        else:
            console.print(f"already up since {state.started_at}; `iterqr-bench down` stops it", highlight=False)
    console.print(instructions(state, folder), highlight=False, markup=False, soft_wrap=True)
    return state


def take_down(path: Path, console: Console) -> bool:
    """Stops what `bring_up` left running; tells whether there was anything."""
    folder = StackFolder(path)
    with exclusive(folder), StepDisplay(console) as steps, step(steps, "stop") as work:
        found = stop_stack(folder)
        work.result = f"node and server ended; logs in {folder.path}" if found else "nothing was running"
    return found


def running_stack(folder: StackFolder) -> StackState | None:
    """The stack in the folder if all of it lives; None otherwise, also where one of the two has died."""
    state = read_state(folder)
    if state is None or not server_is_running(folder) or not node_is_running(folder):
        return None
    return state


def instructions(state: StackState, folder: StackFolder) -> str:
    """What runs where, and commands that work when pasted into a shell."""
    lines = [
        "",
        f"OpenSearch {state.opensearch_version}  {state.opensearch_url}  (process {state.opensearch_pid})",
        f"rewrite server    {state.server_address}  (process {state.server_pid}, metrics {state.metrics_url})",
        f"logs and state    {folder.path}",
        "",
        "Search with rewrites; every hit says which channel retrieved it:",
        "",
        *(_curl(state, region, query) for region, query in _TRIED),
        "The same without:",
        "",
        _plain_curl(state, *_TRIED[0]),
        "What became of the rewriting, by outcome:",
        "",
        f"  curl -s '{state.opensearch_url}/_plugins/_iterqr/stats?pretty'",
        "",
    ]
    return "\n".join(lines)


def _curl(state: StackState, region: str, query: str) -> str:
    body = {**search_body(query, region, 5), "_source": ["title", "merchant"], "ext": {"iterqr": {"region": region}}}
    return _command(f"{state.opensearch_url}/{DISHES_INDEX}/_search?search_pipeline={PIPELINE}&pretty", body)


def _plain_curl(state: StackState, region: str, query: str) -> str:
    body = {**search_body(query, region, 5), "_source": ["title", "merchant"]}
    return _command(f"{state.opensearch_url}/{DISHES_INDEX}/_search?pretty", body)


def _command(url: str, body: dict[str, object]) -> str:
    written = json.dumps(body).replace("'", r"\u0027")  # a quote would end the shell's
    return f"  curl -s '{url}' -H 'Content-Type: application/json' -d '{written}'\n"
