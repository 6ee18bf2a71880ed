"""`iterqr-bench sim`: users search in a simulated marketplace, and what they did is kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from iterqr_dev_node import NodeInstance
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from iterqr_benchmarks.errors import MarketplaceError
from iterqr_benchmarks.marketplace.live import run_against
from iterqr_benchmarks.marketplace.running import running_market, world_is_there
from iterqr_benchmarks.marketplace.settings import ARMS, TrafficSettings, WorldSettings
from iterqr_benchmarks.marketplace.summary import TrafficSummary
from iterqr_benchmarks.marketplace.traffic import Progress as TrafficProgress
from iterqr_benchmarks.progress import StepDisplay
from iterqr_benchmarks.report.json_file import write_whole
from iterqr_benchmarks.stack.lifecycle import exclusive
from iterqr_benchmarks.stack.server_process import stop_server
from iterqr_benchmarks.stack.settings import StackSettings
from iterqr_benchmarks.stack.state import StackFolder

SCHEMA = "iterqr-marketplace-run/v1"
_LINES_WITHOUT_TERMINAL = 20


@dataclass(frozen=True, slots=True)
class SimOptions:
    """`folder`: has the stack in `run` and each arm's ledger in a folder of the arm's name. `fresh`: deletes it."""

    folder: Path
    world: WorldSettings
    traffic: TrafficSettings
    stack: StackSettings
    fresh: bool = False


def run_sim(options: SimOptions, console: Console) -> TrafficSummary:
    """Starts node and server, runs the traffic, reports, and stops them; goes on where it was stopped before.

    Raises:
        BenchmarkError, DevNodeError: It could not be done; nothing is left running, what was done is kept.
    """
    folder = StackFolder(options.folder / "run")
    arm = options.folder / options.traffic.arm
    with exclusive(folder), ExitStack() as running:
        if options.fresh:
            delete_run(options.folder)
        check_node_is_there(options.folder)
        with StepDisplay(console) as steps:
            market = running.enter_context(running_market(folder, options.world, options.stack, steps))
        with progress_bar(console, options.traffic.searches) as on_progress:
            summary = run_against(market.url, options.world, options.traffic, arm, on_progress)
    write_whole(arm / "summary.json", summary_json(options, summary))
    console.print(summary_table(summary))
    console.print(f"ledger: {arm / 'segments'}", highlight=False)
    return summary


def delete_run(path: Path) -> None:
    """Deletes what earlier runs left in a folder, the node's data included; they must not be running."""
    folder = StackFolder(path / "run")
    stop_server(folder)
    NodeInstance(folder.node).delete()
    for arm in ARMS:
        shutil.rmtree(path / arm, ignore_errors=True)


def check_node_is_there(path: Path) -> None:
    """Checks that the node whose logs belong to a folder's ledgers has not been deleted or left half made.

    Raises:
        MarketplaceError: It has; the ledgers are of no use to anybody.
    """
    begun = [arm for arm in ARMS if (path / arm / "state.json").is_file()]
    if begun and not world_is_there(StackFolder(path / "run")):
        raise MarketplaceError(f"{path} has the ledger of {begun[0]} but not its node any more; begin anew (--fresh)")


@contextmanager
def progress_bar(console: Console, searches: int) -> Iterator[Callable[[TrafficProgress], None]]:
    """Shows how far the traffic is and how long it will take; without a terminal, a line now and then."""
    columns = (
        TextColumn("{task.description}", style="cyan"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("searches", total=searches)
        told = 0

        def on_progress(now: TrafficProgress) -> None:
            nonlocal told
            bar.update(task, completed=now.needs, description=f"{now.time:%a %H:%M}")
            part = now.needs * _LINES_WITHOUT_TERMINAL // searches
            if not console.is_terminal and part > told:
                told = part
                console.print(f"  {now.needs:,} of {searches:,} needs, {now.searches:,} searches", highlight=False)

        yield on_progress


def summary_json(options: SimOptions, summary: TrafficSummary) -> str:
    """Returns the summary and what it is of as JSON."""
    settings = {"world": asdict(options.world), "traffic": asdict(options.traffic), "stack": asdict(options.stack)}
    told = {
        "schema": SCHEMA,
        "settings": settings,
        **asdict(summary),
        "rewritten_share": summary.rewritten_share,
        "cache_hit_rate": summary.cache_hit_rate,
        "tail_share_of_distinct": summary.tail_share_of_distinct,
    }
    return json.dumps(told, indent=2, default=str) + "\n"


def summary_table(summary: TrafficSummary) -> Table:
    """Returns the summary for a person."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="cyan")
    table.add_column()
    rows = (
        ("searches", f"{summary.searches:,}: {summary.needs:,} needs, {summary.reformulations:,} reformulations"),
        ("clients", f"{summary.users:,}; {summary.by_bots:,} searches by bots"),
        ("outcomes", _counts(summary.outcomes, summary.searches)),
        ("rewritten", f"{summary.rewritten_share:.1%} of the searches"),
        ("rewrites from", f"{_counts(summary.sources, sum(summary.sources.values()))}"),
        ("cache hit rate", f"{summary.cache_hit_rate:.1%}"),
        ("buckets", _counts(summary.buckets, summary.searches)),
        ("queries", _counts(summary.bands, summary.searches)),
        ("distinct queries", f"{summary.distinct:,}: {_counts(summary.distinct_bands, summary.distinct)}"),
        ("satisfiable", f"{summary.satisfiable / max(1, summary.searches):.1%} of the pages show what satisfies"),
        ("clicks", f"{summary.clicks:,}"),
        ("orders", f"{summary.orders:,}, worth {summary.value:,.2f}"),
        ("events", f"{summary.sent:,} sent of {summary.actions:,} actions; touched: {_counts(summary.touched, 0)}"),
        ("time", f"{summary.seconds:,.0f} s, {summary.searches / max(0.1, summary.seconds):.1f} searches/s"),
    )
    for row in rows:
        table.add_row(*row)
    return table


def _counts(counts: Mapping[str, int], total: int) -> str:
    """Names and counts, with shares where there is a total."""
    shares = {name: f" ({count / total:.0%})" if total else "" for name, count in counts.items()}
    return ", ".join(f"{name} {count:,}{shares[name]}" for name, count in counts.items()) or "none"
