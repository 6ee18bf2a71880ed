"""`iterqr-bench demo`: all of it, from an empty machine to the report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from iterqr_training.machine import this_machine
from opensearchpy import OpenSearch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from iterqr_benchmarks.catalog import Catalog, build_catalog
from iterqr_benchmarks.demo.observation import Observation
from iterqr_benchmarks.demo.searching import DemoSearch
from iterqr_benchmarks.demo.table import QueryTable, summary
from iterqr_benchmarks.evaluation.comparison import DEEP_CUTOFF
from iterqr_benchmarks.progress import StepDisplay, step
from iterqr_benchmarks.queries import TailQuery, load_queries
from iterqr_benchmarks.report.html import report_html
from iterqr_benchmarks.report.json_file import report_json, write_whole
from iterqr_benchmarks.report.model import Report, RunContext, build_report
from iterqr_benchmarks.report.versions import versions
from iterqr_benchmarks.stack.lifecycle import exclusive, start_stack, stop_stack
from iterqr_benchmarks.stack.settings import StackSettings
from iterqr_benchmarks.stack.state import StackFolder

# Of no query set; searched first, so that class loading and first connections are not measured.
WARM_UP_QUERY = "fryed chiken wings"


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """`folder`: for the report, logs and the stack. `limit`: queries searched, 0 for all."""

    folder: Path
    stack: StackSettings
    query_set: str = "heldout"
    limit: int = 0


def run_demo(options: DemoOptions, console: Console) -> Report:
    """Starts a stack of its own, searches, writes the report and stops the stack.

    Raises:
        BenchmarkError, DevNodeError: It could not be done; nothing is left running.
    """
    folder = StackFolder(options.folder / "run")
    with exclusive(folder):
        try:
            report = _run(options, folder, console)
        finally:
            with StepDisplay(console) as steps, step(steps, "stop") as work:
                found = stop_stack(folder)
                work.result = f"node and server ended; logs in {folder.path}" if found else "nothing was running"
    files = write_report(report, options.folder)
    console.print(summary(report, [str(file) for file in files]), highlight=False)
    return report


def write_report(report: Report, folder: Path) -> tuple[Path, Path]:
    """Writes `report.json` and `report.html` and returns their paths."""
    files = folder / "report.json", folder / "report.html"
    write_whole(files[0], report_json(report))
    write_whole(files[1], report_html(report))
    return files


def _run(options: DemoOptions, folder: StackFolder, console: Console) -> Report:
    began = time.monotonic()
    with StepDisplay(console) as steps:
        with step(steps, "catalog") as work:
            catalog = build_catalog(seed=options.stack.seed)
            work.result = f"{len(catalog.merchants):,} merchants, {len(catalog.dishes):,} dishes"
        state = start_stack(folder, options.stack, catalog, steps)
        seconds = dict(steps.seconds)
    queries = load_queries(options.query_set)
    queries = queries[: options.limit or len(queries)]
    with OpenSearch(state.opensearch_url, timeout=120) as client:
        search = DemoSearch(client, size=DEEP_CUTOFF)
        search.warm_up(WARM_UP_QUERY, queries[0].region)
        searching = time.monotonic()
        observations = _search_all(search, queries, catalog, console)
    seconds |= {"searches": time.monotonic() - searching, "all": time.monotonic() - began}
    return build_report(_context(options, catalog, seconds), observations)


def _search_all(
    search: DemoSearch, queries: Sequence[TailQuery], catalog: Catalog, console: Console
) -> list[Observation]:
    table = QueryTable(console, total=len(queries), kinds=[query.kind for query in queries])
    console.print()
    table.head()
    observations = []
    columns = (TextColumn("{task.description}", style="cyan", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(queries))
        for query in queries:
            progress.update(task, description=query.query)
            observation = search.observe(query, query.satisfying(catalog))
            table.row(observation)
            observations.append(observation)
            progress.advance(task)
    console.print()
    return observations


def _context(options: DemoOptions, catalog: Catalog, seconds: dict[str, float]) -> RunContext:
    stack = options.stack
    return RunContext(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=this_machine(),
        versions=versions(stack.opensearch_version),
        query_set=options.query_set,
        seed=stack.seed,
        settings={"model": stack.model, "template": stack.template or "food_delivery", **asdict(stack.channel)},
        catalog={
            "merchants": len(catalog.merchants),
            "dishes": len(catalog.dishes),
            "regions": len({dish.region for dish in catalog.dishes}),
        },
        seconds={name: round(value, 2) for name, value in seconds.items()},
    )
