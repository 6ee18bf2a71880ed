"""The load's report as a console table, as JSON and as a page with plots."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from iterqr_training.machine import Machine
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich.table import Table

from iterqr_benchmarks.report.json_file import plain_data
from iterqr_benchmarks.report.lines_plot import lines_plot
from iterqr_benchmarks.rpc_load.samples import EARLY_SHARE, REJECTED, Call, LatencyNumbers, LoadNumbers, MemoryNumbers

SCHEMA = "iterqr-rpc-load/v2"


@dataclass(frozen=True, slots=True)
class PhaseReport:
    """One phase. `memory_mib`: seconds and MiB; empty where the server's process is not known."""

    numbers: LoadNumbers
    memory: MemoryNumbers | None
    memory_mib: tuple[tuple[float, float], ...]
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class LoadReport:
    """One run."""

    created_at: str
    machine: Machine
    versions: Mapping[str, str]
    settings: Mapping[str, Any]
    phases: Mapping[str, PhaseReport]


def load_json(report: LoadReport) -> str:
    """Returns the report as a JSON document; what could not be measured is null."""
    return json.dumps(_finite({"schema": SCHEMA, **plain_data(report)}), ensure_ascii=False) + "\n"


def load_table(report: LoadReport) -> Table:
    """Returns what a person reads on the console."""
    table = Table(title="The server under load")
    table.add_column("")
    for name in report.phases:
        table.add_column(name, justify="right")
    for name, values in rows(report):
        table.add_row(name, *values)
    return table


def rows(report: LoadReport) -> list[tuple[str, list[str]]]:
    """Returns name and values, one a phase, of what is shown."""
    phases = list(report.phases.values())

    def latency(numbers: LatencyNumbers) -> str:
        return f"{numbers.p50_ms:,.0f} / {numbers.p95_ms:,.0f} / {numbers.p99_ms:,.0f}" if numbers.calls else "-"

    def largest(numbers: LatencyNumbers) -> str:
        return f"{numbers.max_ms:,.0f}" if numbers.calls else "-"

    def server_timed(numbers: LoadNumbers) -> str:
        largest_ms = numbers.server_timed_largest_lateness_ms
        return f"{largest_ms:,.0f} ({numbers.server_timed} calls)" if numbers.server_timed else "-"

    shown = [
        ("calls/s offered", [f"{each.numbers.offered_per_s:.2f}" for each in phases]),
        ("useful replies/s (goodput)", [f"{each.numbers.goodput_per_s:.2f}" for each in phases]),
        ("served: p50 / p95 / p99 ms", [latency(each.numbers.served) for each in phases]),
        ("  of new queries", [latency(each.numbers.served_fresh) for each in phases]),
        ("  of repeated queries", [latency(each.numbers.served_repeated) for each in phases]),
        ("rejected", [f"{each.numbers.codes.get(REJECTED, 0)}" for each in phases]),
        ("  after ms: p50 / p95 / p99", [latency(each.numbers.rejected) for each in phases]),
        ("  the latest, ms", [largest(each.numbers.rejected) for each in phases]),
        (f"  after {EARLY_SHARE:.0%} of the deadline", [f"{each.numbers.rejected_late}" for each in phases]),
        ("late beyond the allowance", [f"{each.numbers.late}" for each in phases]),
        ("largest lateness ms", [f"{each.numbers.largest_lateness_ms:,.0f}" for each in phases]),
        ("  of calls only the server times", [server_timed(each.numbers) for each in phases]),
        ("calls began late by ms: p50 / p95 / p99", [latency(each.numbers.began_late) for each in phases]),
        ("load maker's CPU ms a call", [f"{each.numbers.maker_cpu_ms_per_call:.2f}" for each in phases]),
        ("all codes", [", ".join(f"{code} {n}" for code, n in each.numbers.codes.items()) for each in phases]),
    ]
    if any(each.memory for each in phases):
        memory = [each.memory for each in phases]
        shown.append(("server MiB after warm-up", [f"{m.after_warm_up_mib:,.0f}" if m else "-" for m in memory]))
        shown.append(("  growth until the end", [f"{m.growth_mib:+,.1f}" if m else "-" for m in memory]))
        shown.append(("  of it in the second half", [f"{m.late_growth_mib:+,.1f}" if m else "-" for m in memory]))
    return shown


def load_html(report: LoadReport) -> str:
    """Returns the report as one page."""
    environment = Environment(
        loader=PackageLoader("iterqr_benchmarks.rpc_load", "."), undefined=StrictUndefined, autoescape=True
    )
    style = resources.files("iterqr_benchmarks.report").joinpath("report.css").read_text("utf-8")
    return environment.get_template("load.html.j2").render(
        report=report,
        style=Markup(style),  # noqa: S704 - a file of this package
        rows=rows(report),
        shares={name: _shares_plot(name, each.calls) for name, each in report.phases.items()},
        memory={
            name: lines_plot(f"Server memory in MiB, {name}", {"MiB": each.memory_mib}, x_label="seconds")
            for name, each in report.phases.items()
            if each.memory_mib
        },
    )


def _shares_plot(name: str, calls: Sequence[Call]) -> Markup:
    """How many calls had ended after a time."""
    ordered = sorted(call.latency_ms for call in calls)
    step = max(1, len(ordered) // 200)
    points = [(value, 100 * (i + 1) / len(ordered)) for i, value in enumerate(ordered) if i % step == 0]
    return lines_plot(f"Percent of calls that had ended, {name}", {"%": points}, x_label="ms")


def _finite(value: Any) -> Any:  # noqa: ANN401 - any part of a JSON document
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
