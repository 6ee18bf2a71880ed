"""`iterqr-bench sim`: a simulated marketplace from the first search to the report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from iterqr_dev_node import NodeInstance
from rich.console import Console
from rich.table import Table

from iterqr_benchmarks.errors import MarketplaceError
from iterqr_benchmarks.marketplace.chain import ChainOptions, run_chain
from iterqr_benchmarks.marketplace.running import running_market, world_is_there
from iterqr_benchmarks.marketplace.settings import ARMS, TrafficSettings, WorldSettings
from iterqr_benchmarks.marketplace.sim_report import SimReport, sim_html, sim_json, sim_report, sim_table
from iterqr_benchmarks.marketplace.summary import TrafficSummary
from iterqr_benchmarks.progress import StepDisplay
from iterqr_benchmarks.report.json_file import write_whole
from iterqr_benchmarks.stack.lifecycle import exclusive
from iterqr_benchmarks.stack.server_process import stop_server
from iterqr_benchmarks.stack.settings import StackSettings
from iterqr_benchmarks.stack.state import StackFolder

SCHEMA = "iterqr-marketplace-run/v1"
_STACK = "stack.json"


@dataclass(frozen=True, slots=True)
class SimOptions:
    """What to simulate.

    `folder`: has the stack in `run`, each arm's ledger in a folder of the arm's name, and what comes of it beside.
    `fresh`: deletes what is there. `paired`: replays both arms with the same users, too.
    """

    folder: Path
    world: WorldSettings
    traffic: TrafficSettings
    stack: StackSettings
    fresh: bool = False
    paired: bool = False

    def settings(self) -> Mapping[str, Any]:
        """All settings, for the report."""
        return {"world": asdict(self.world), "traffic": asdict(self.traffic), "stack": asdict(self.stack)}


def run_sim(options: SimOptions, console: Console) -> SimReport:
    """Does all stages from the traffic to the report; goes on where it was stopped before. Nothing is left running.

    Raises:
        BenchmarkError, DevNodeError: It could not be done; what was done is kept.
    """
    folder = StackFolder(options.folder / "run")
    with exclusive(folder):
        if options.fresh:
            delete_run(options.folder)
        check_node_is_there(options.folder)
        keep_to_stack(options.folder, options.stack)

        @contextmanager
        def market() -> Iterator[str]:
            with ExitStack() as running:
                with StepDisplay(console) as steps:
                    started = running.enter_context(running_market(folder, options.world, options.stack, steps))
                yield started.url

        chain = ChainOptions(options.folder, options.world, options.traffic, options.paired)
        result = run_chain(chain, market, console)
        report = sim_report(options.settings(), result)
        write_whole(options.folder / "report.json", sim_json(report))
        write_whole(options.folder / "report.html", sim_html(report))
    summary = result.traffic[options.traffic.arm]
    write_whole(options.folder / options.traffic.arm / "summary.json", summary_json(options, summary))
    console.print(summary_table(summary))
    console.print(sim_table(report))
    console.print(f"report: {options.folder / 'report.html'}", highlight=False, soft_wrap=True)
    if not all(each.holds for each in result.collected.audits):
        raise MarketplaceError(f"what was collected is not what happened; see {options.folder / 'report.html'}")
    return report


def delete_run(path: Path) -> None:
    """Deletes what earlier runs left in a folder, the node's data included; they must not be running."""
    folder = StackFolder(path / "run")
    stop_server(folder)
    NodeInstance(folder.node).delete()
    for name in (*ARMS, "signals", "marts", "judgments"):
        shutil.rmtree(path / name, ignore_errors=True)
    for name in (
        "stages.json",
        "report.html",
        "report.json",
        "experiment.html",
        "experiment.json",
        "health.json",
        _STACK,
    ):
        (path / name).unlink(missing_ok=True)


def check_node_is_there(path: Path) -> None:
    """Checks that the node whose logs belong to a folder's ledgers has not been deleted or left half made.

    Raises:
        MarketplaceError: It has; the ledgers are of no use to anybody.
    """
    begun = [arm for arm in ARMS if (path / arm / "state.json").is_file()]
    if begun and not world_is_there(StackFolder(path / "run")):
        raise MarketplaceError(f"{path} has the ledger of {begun[0]} but not its node any more; begin anew (--fresh)")


def keep_to_stack(path: Path, stack: StackSettings) -> None:
    """Notes what serves a run's searches. Ports may change.

    Raises:
        MarketplaceError: The run was begun with another model, template or fusion.
    """
    file = path / _STACK
    told = stack.without_ports()
    if file.is_file() and json.loads(file.read_text("utf-8")) != told:
        raise MarketplaceError(
            f"{path} was begun with another model, template or fusion ({file}); begin anew (--fresh)"
        )
    write_whole(file, json.dumps(told, indent=2) + "\n")


def summary_json(options: SimOptions, summary: TrafficSummary) -> str:
    """Returns the summary and what it is of as JSON."""
    told = {
        "schema": SCHEMA,
        "settings": options.settings(),
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
