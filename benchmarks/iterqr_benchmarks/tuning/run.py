"""`iterqr-bench tune`: gathers on the tuning queries, measures the grid, prints and writes what came of it.

The held-out queries are never read here: what is chosen must not have seen them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from iterqr_proto.policy import default_policy
from iterqr_training.evaluate.fusion import FusionRule
from iterqr_training.machine import this_machine
from opensearchpy import OpenSearch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from iterqr_benchmarks.catalog import build_catalog
from iterqr_benchmarks.demo.run import WARM_UP_QUERY
from iterqr_benchmarks.demo.searching import DemoSearch
from iterqr_benchmarks.evaluation.comparison import DEEP_CUTOFF
from iterqr_benchmarks.progress import StepDisplay, step
from iterqr_benchmarks.queries import TailQuery, load_queries
from iterqr_benchmarks.report.json_file import plain_data, write_whole
from iterqr_benchmarks.report.versions import versions
from iterqr_benchmarks.stack.lifecycle import exclusive, start_stack, stop_stack
from iterqr_benchmarks.stack.settings import StackSettings
from iterqr_benchmarks.stack.state import StackFolder
from iterqr_benchmarks.tuning.fusion import FusionSettings
from iterqr_benchmarks.tuning.gather import Gathered, gather, load, save
from iterqr_benchmarks.tuning.grid import GridPoint, choose, measure, settings_grid
from iterqr_benchmarks.tuning.rewrites import rewrite_quality

_ROWS_SHOWN = 12


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """`folder`: for results, logs and the stack. `limit`: queries used, spread over the set; 0 for all.

    `gathered`: what an earlier run gathered; with it no stack is started.
    """

    folder: Path
    stack: StackSettings
    limit: int = 0
    gathered: Path | None = None


def run_tuning(options: TuneOptions, console: Console) -> GridPoint | None:
    """Returns the chosen point, None if every point harms too many queries.

    Raises:
        BenchmarkError, DevNodeError: It could not be done; nothing is left running.
    """
    if options.gathered is not None:
        gathered = load(options.gathered)
    else:
        gathered = _gather(options, console)
        save(gathered, options.folder / "gathered.json")
    running = running_settings(options.stack)
    seed = options.stack.seed
    with StepDisplay(console) as steps, step(steps, "grid") as work:
        points = [measure(gathered, settings, seed=seed) for settings in settings_grid()]
        now = measure(gathered, running, seed=seed)
        work.result = f"{len(points)} combinations on {len(gathered)} queries"
    chosen = choose(points)
    _print(console, gathered, points, chosen, now)
    file = options.folder / "tuning.json"
    write_whole(file, _document(options, gathered, points, chosen, now))
    console.print(f"{file}", style="cyan")
    return chosen


def running_settings(stack: StackSettings) -> FusionSettings:
    """The fusion that a stack's pipeline has."""
    channel = stack.channel
    return FusionSettings(channel.original_weight, channel.rewrite_weight, channel.rank_constant, channel.window_size)


def _running_rule(stack: StackSettings) -> FusionRule:
    settings = running_settings(stack)
    return FusionRule(
        default_policy(),
        original_weight=settings.original_weight,
        rewrite_weight=settings.rewrite_weight,
        rank_constant=settings.rank_constant,
        window_size=settings.window_size,
    )


def spread(queries: Sequence[TailQuery], limit: int) -> list[TailQuery]:
    """Returns `limit` queries at even distances, so that every kind has its share; all if `limit` is 0."""
    if not limit or limit >= len(queries):
        return list(queries)
    return [queries[number * len(queries) // limit] for number in range(limit)]


def _gather(options: TuneOptions, console: Console) -> list[Gathered]:
    folder = StackFolder(options.folder / "run")
    queries = spread(load_queries("tuning"), options.limit)
    with exclusive(folder):
        try:
            with StepDisplay(console) as steps:
                catalog = build_catalog(seed=options.stack.seed)
                state = start_stack(folder, options.stack, catalog, steps)
            columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
            with (
                OpenSearch(state.opensearch_url, timeout=120) as client,
                Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as progress,
            ):
                task = progress.add_task("", total=len(queries))
                search = DemoSearch(client, size=DEEP_CUTOFF)
                search.warm_up(WARM_UP_QUERY, queries[0].region)

                def on_query(text: str) -> None:
                    progress.update(task, description=f"{text:<40.40}", advance=1)

                return gather(client, search, queries, catalog, _running_rule(options.stack), on_query)
        finally:
            stop_stack(folder)


def _print(
    console: Console,
    gathered: Sequence[Gathered],
    points: Sequence[GridPoint],
    chosen: GridPoint | None,
    now: GridPoint,
) -> None:
    plain = now.comparison.plain
    works = sum(each.works for each in gathered)
    agree = sum(each.agrees for each in gathered)
    alone = rewrite_quality(gathered)
    console.print(
        f"precision@10 of the query as typed {alone.original:.3f}, of its rewrites {alone.rewrite:.3f}, of the best of "
        f"them {alone.best:.3f}; {alone.rewrites:.1f} rewrites a query",
        highlight=False,
    )
    console.print(
        f"{works} of {len(gathered)} queries work; the plugin's page equals the fusion computed here for {agree}; "
        f"plain search: precision@10 {plain.precision_at_10:.3f}, recall@50 {plain.recall_at_50:.3f}",
        highlight=False,
    )
    table = Table(title="Best combinations", title_justify="left", box=None, header_style="dim")
    for name in (
        "",
        "rewrite weight",
        "constant",
        "window",
        "P@10",
        "change",
        "95% interval",
        "recall@50",
        "rose",
        "fell",
    ):
        table.add_column(name, justify="right")
    best = sorted(points, key=lambda point: -point.comparison.precision_gain.mean)[:_ROWS_SHOWN]
    shown = [("now", now), *(("", point) for point in best if point is not chosen)]
    if chosen is not None:
        shown.insert(1, ("chosen", chosen))
    for mark, point in shown:
        settings, measured = point.settings, point.comparison
        table.add_row(
            mark,
            f"{settings.rewrite_weight / settings.original_weight:g}",
            str(settings.rank_constant),
            str(settings.window_size),
            f"{measured.channel.precision_at_10:.3f}",
            f"{measured.precision_gain.mean:+.3f}",
            f"{measured.precision_gain.low:+.3f} to {measured.precision_gain.high:+.3f}",
            f"{measured.channel.recall_at_50:.3f}",
            f"{measured.lift_rate:.1%}",
            f"{measured.harm_rate:.1%}",
        )
    console.print(table)


def _document(
    options: TuneOptions,
    gathered: Sequence[Gathered],
    points: Sequence[GridPoint],
    chosen: GridPoint | None,
    now: GridPoint,
) -> str:
    document = {
        "schema": "iterqr-tuning/v1",
        "machine": plain_data(this_machine()),
        "versions": versions(options.stack.opensearch_version),
        "stack": asdict(options.stack),
        "query_set": "tuning",
        "queries": len(gathered),
        "works": sum(each.works for each in gathered),
        "agrees_with_plugin": sum(each.agrees for each in gathered),
        "rewrites": plain_data(rewrite_quality(gathered)),
        "now": plain_data(now),
        "chosen": plain_data(chosen),
        "grid": [plain_data(point) for point in points],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
