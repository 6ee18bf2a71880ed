"""The report as a console table, as JSON and as a page with plots."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from iterqr_training.machine import Machine
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich.table import Table

from iterqr_benchmarks.engine_comparison.bars import bars_plot
from iterqr_benchmarks.report.json_file import plain_data
from iterqr_benchmarks.search_load.arms import CACHED, CONTROL, UNCACHED
from iterqr_benchmarks.search_load.plan import CLIENTS, PLAIN
from iterqr_benchmarks.search_load.samples import Numbers, PhaseSamples, Summary, phase_numbers

SCHEMA = "iterqr-search-load/v1"
MOST_ADDED_MS = 1.5
LEAST_THROUGHPUT = 0.55
LEAST_FUSED = 0.5
"""Of the searches for new queries; with fewer it would be refusals that are measured."""
COLUMNS = ("p50 ms", "p95", "p99", "added p50", "searches/s", "of plain", "node CPU ms", "server", "load", "outcomes")
"""Of the table: latencies; what is added to plain's p50; throughput and its share of plain's; CPU a search."""


@dataclass(frozen=True, slots=True)
class SearchLoadReport:
    """One run. `rounds`: every measured phase."""

    created_at: str
    machine: Machine
    versions: Mapping[str, str]
    settings: Mapping[str, Any]
    summaries: tuple[Summary, ...]
    rounds: tuple[PhaseSamples, ...]


def report_json(report: SearchLoadReport) -> str:
    """Returns the report as a JSON document: numbers of each phase, not each search; what is unmeasured is null."""
    rounds = [
        {**plain_data(each.phase), "outcomes": each.outcomes, **plain_data(phase_numbers(each))}
        for each in report.rounds
    ]
    head = {name: plain_data(getattr(report, name)) for name in ("created_at", "machine", "versions", "settings")}
    document = {"schema": SCHEMA, **head, "summaries": plain_data(report.summaries), "rounds": rounds}
    return json.dumps(_finite(document), indent=1, ensure_ascii=False) + "\n"


def report_table(report: SearchLoadReport) -> Table:
    """Returns what a person reads on the console."""
    table = Table(title="Searches with the plugin, beside plain ones")
    table.add_column("")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for title, rows in groups(report):
        table.add_section()
        table.add_row(f"[bold]{title}[/bold]")
        for row in rows:
            table.add_row(*row)
    return table


def groups(report: SearchLoadReport) -> list[tuple[str, list[list[str]]]]:
    """Returns the table's groups: a title, and a row for each arm."""
    found: dict[str, list[list[str]]] = {}
    for each in report.summaries:
        found.setdefault(f"{each.users} x {each.client}", []).append(_row(each))
    return list(found.items())


def verdict(report: SearchLoadReport) -> list[str]:
    """Returns a line for each goal: what was measured, and whether it is reached."""
    cached = {(each.client, each.users): each for each in report.summaries if each.arm == CACHED}
    lines = []
    for client in CLIENTS:
        users = sorted(users for each, users in cached if each == client)
        added, share = cached[client, users[0]].added_p50_ms[0], cached[client, users[-1]].throughput_share[0]
        lines.append(
            f"{client}: {CACHED} add {added:.2f} ms at p50 with {users[0]} client"
            f" (goal {MOST_ADDED_MS}: {_reached(added <= MOST_ADDED_MS)}) and keep {share:.0%} of plain throughput with"
            f" {users[-1]} (goal {LEAST_THROUGHPUT:.0%}: {_reached(share >= LEAST_THROUGHPUT)})"
        )
    lines += [_control(each) for each in report.summaries if each.arm == CONTROL]
    lines += [_uncached(each) for each in report.summaries if each.arm == UNCACHED]
    return lines


def _control(each: Summary) -> str:
    """Not to be told from plain searches: in some rounds more, in others less than they take."""
    added, least_ms, most_ms = each.added_p50_ms
    share, least, most = each.throughput_share
    is_alike = least_ms <= 0 <= most_ms and least <= 1 <= most
    return (
        f"{each.users} x {each.client}: {CONTROL} adds {added:+.2f} ms at p50"
        f" (rounds {least_ms:+.2f} to {most_ms:+.2f}), keeps {share:.0%} of plain throughput"
        f" (rounds {least:.0%} to {most:.0%})"
        f" (goal indistinguishable: {_reached(is_alike)})"
    )


def _uncached(each: Summary) -> str:
    fused = each.outcomes.get("fused", 0.0)
    return (
        f"{each.users} x {each.client}: {fused:.0%} of the {UNCACHED} were fused"
        f" (at least {LEAST_FUSED:.0%}, or it is refusals that are measured: {_reached(fused >= LEAST_FUSED)})"
    )


def report_html(report: SearchLoadReport) -> str:
    """Returns the report as one page."""
    environment = Environment(
        loader=PackageLoader("iterqr_benchmarks.search_load", "."), undefined=StrictUndefined, autoescape=True
    )
    style = resources.files("iterqr_benchmarks.report").joinpath("report.css").read_text("utf-8")
    return environment.get_template("search.html.j2").render(
        report=report,
        style=Markup(style),  # noqa: S704 - a file of this package
        columns=COLUMNS,
        groups=groups(report),
        verdict=verdict(report),
        plots=_plots(report),
    )


def _plots(report: SearchLoadReport) -> dict[str, Markup]:
    users = sorted({each.users for each in report.summaries})
    shown: tuple[tuple[str, int, Callable[[Numbers], float]], ...] = (
        ("p50 in ms", users[0], lambda numbers: numbers.p50_ms),
        ("Searches/s", users[-1], lambda numbers: numbers.per_s),
        ("Node CPU ms a search", users[-1], lambda numbers: numbers.node_cpu_ms),
    )
    plots = {}
    for client in CLIENTS:
        for label, count, value in shown:
            name = f"{label}, {count} x {client}"
            rows = [each for each in report.summaries if (each.client, each.users) == (client, count)]
            plots[name] = bars_plot(name, [(each.arm, value(each.numbers)) for each in rows], {PLAIN})
    return plots


def _row(each: Summary) -> list[str]:
    numbers, is_plain = each.numbers, each.arm == PLAIN
    return [
        each.arm,
        *(f"{value:.2f}" for value in (numbers.p50_ms, numbers.p95_ms, numbers.p99_ms)),
        "" if is_plain else f"{each.added_p50_ms[0]:+.2f}",
        f"{numbers.per_s:,.0f}",
        "" if is_plain else f"{each.throughput_share[0]:.0%}",
        *(f"{value:.2f}" for value in (numbers.node_cpu_ms, numbers.server_cpu_ms, numbers.maker_cpu_ms)),
        "" if is_plain else ", ".join(f"{name or 'none'} {part:.0%}" for name, part in each.outcomes.items()),
    ]


def _reached(reached: bool) -> str:
    return "reached" if reached else "missed"


def _finite(value: Any) -> Any:  # noqa: ANN401 - any part of a JSON document
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
