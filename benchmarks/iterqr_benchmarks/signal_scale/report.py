"""The scale of attribution as a console table, as JSON and as a page with its growth curves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from iterqr_training.machine import Machine
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich.console import Group
from rich.table import Table
from rich.text import Text

from iterqr_benchmarks.report.json_file import plain_data
from iterqr_benchmarks.report.lines_plot import lines_plot
from iterqr_benchmarks.signal_scale.agreement import Agreement
from iterqr_benchmarks.signal_scale.measuring import Measured

SCHEMA = "iterqr-signal-scale/v1"


@dataclass(frozen=True, slots=True)
class SignalScaleReport:
    """One run over all sizes. `raw_rows`: of the raw tables, by the number of impressions."""

    created_at: str
    machine: Machine
    versions: Mapping[str, str]
    settings: Mapping[str, Any]
    raw_rows: Mapping[int, Mapping[str, int]]
    runs: tuple[Measured, ...]
    agreements: tuple[Agreement, ...]

    @property
    def equal(self) -> bool:
        """Whether all marts that were compared are equal."""
        return all(each.equal for each in self.agreements)


def verdict(report: SignalScaleReport) -> str:
    """Returns in a sentence whether the engines agree."""
    sizes = sorted({each.impressions for each in report.agreements})
    if not sizes:
        return "Nothing to compare: no size was done by two engines."
    told = ", ".join(f"{size:,}" for size in sizes)
    rows = sum(each.rows for each in report.agreements)
    if report.equal:
        return f"The engines' marts are equal row for row at {told} impressions ({rows:,} rows)."
    wrong = [f"{each.table} at {each.impressions:,}" for each in report.agreements if not each.equal]
    return f"The engines' marts DIFFER: {', '.join(wrong)}."


def scale_json(report: SignalScaleReport) -> str:
    """Returns the report as a JSON document."""
    return json.dumps({"schema": SCHEMA, **plain_data(report)}, indent=1, ensure_ascii=False) + "\n"


def scale_table(report: SignalScaleReport) -> Group:
    """Returns what a person reads on the console."""
    table = Table(title="Attribution by size")
    for column in ("impressions", "engine", "seconds", "of it attribution", "processor s", "peak memory MiB", "rows"):
        table.add_column(column, justify="left" if column == "engine" else "right")
    for run in report.runs:
        if run.failure:
            table.add_row(
                f"{run.impressions:,}", run.engine, "failed", "", f"{run.cpu_s:,.1f}", f"{run.peak_memory_mib:,.0f}", ""
            )
        else:
            table.add_row(
                f"{run.impressions:,}",
                run.engine,
                f"{run.wall_s:,.1f}",
                f"{sum(run.seconds.values()):,.1f}",
                f"{run.cpu_s:,.1f}",
                f"{run.peak_memory_mib:,.0f}",
                f"{sum(run.rows.values()):,}",
            )
    failures = [Text(f"{run.engine}, {run.impressions:,}: {run.failure}") for run in report.runs if run.failure]
    return Group(table, Text(verdict(report), style="bold"), *failures)


def scale_html(report: SignalScaleReport) -> str:
    """Returns the report as one page."""
    environment = Environment(
        loader=PackageLoader("iterqr_benchmarks.signal_scale", "."), undefined=StrictUndefined, autoescape=True
    )
    style = resources.files("iterqr_benchmarks.report").joinpath("report.css").read_text("utf-8")
    return environment.get_template("scale.html.j2").render(
        report=report,
        style=Markup(style),  # noqa: S704 - a file of this package
        verdict=verdict(report),
        plots={
            **_plots(report, "seconds", lambda run: run.wall_s),
            **_plots(report, "processor seconds", lambda run: run.cpu_s),
            **_plots(report, "peak memory in MiB", lambda run: run.peak_memory_mib),
        },
    )


def _plots(report: SignalScaleReport, measure: str, value: Callable[[Measured], float]) -> dict[str, Markup]:
    """One growth curve for each engine that did any size."""
    plots = {}
    for engine in dict.fromkeys(run.engine for run in report.runs):
        points = [
            (run.impressions / 1e6, value(run)) for run in report.runs if run.engine == engine and not run.failure
        ]
        if points:
            label = f"{engine}: {measure}"
            plots[label] = lines_plot(label, {engine: [(0.0, 0.0), *points]}, x_label="million impressions")
    return plots
