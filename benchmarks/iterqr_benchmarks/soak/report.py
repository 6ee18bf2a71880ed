"""A soak's report as a console table, as JSON and as a page with plots."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from iterqr_training.machine import Machine
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich.table import Table

from iterqr_benchmarks.report.json_file import plain_data
from iterqr_benchmarks.report.lines_plot import lines_plot
from iterqr_benchmarks.soak.checks import Check, Counts
from iterqr_benchmarks.soak.sampling import MEASURES, Sample
from iterqr_benchmarks.soak.trend import Trend

SCHEMA = "iterqr-soak/v1"


@dataclass(frozen=True, slots=True)
class SoakReport:
    """One soak. `done`: how often the load did each kind of thing; `restarts`: of the rewrite server."""

    created_at: str
    machine: Machine
    versions: Mapping[str, str]
    settings: Mapping[str, Any]
    samples: tuple[Sample, ...]
    idle: Sample
    trends: Mapping[str, Trend]
    done: Mapping[str, int]
    outcomes: Mapping[str, int]
    restarts: int
    counts: Counts
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether all checks hold."""
        return all(check.holds for check in self.checks)


def soak_json(report: SoakReport) -> str:
    """Returns the report as a JSON document."""
    return json.dumps({"schema": SCHEMA, **plain_data(report)}, indent=1, ensure_ascii=False) + "\n"


def soak_table(report: SoakReport) -> Table:
    """Returns what a person reads on the console."""
    table = Table(title=f"Soak of {report.settings['minutes']:g} minutes")
    for column in ("check", "holds", "measured"):
        table.add_column(column)
    for check in report.checks:
        table.add_row(check.name, "yes" if check.holds else "NO", check.told)
    return table


def soak_html(report: SoakReport) -> str:
    """Returns the report as one page."""
    environment = Environment(
        loader=PackageLoader("iterqr_benchmarks.soak", "."), undefined=StrictUndefined, autoescape=True
    )
    style = resources.files("iterqr_benchmarks.report").joinpath("report.css").read_text("utf-8")
    return environment.get_template("soak.html.j2").render(
        report=report,
        style=Markup(style),  # noqa: S704 - a file of this package
        plots={
            measure: lines_plot(
                measure,
                {measure: [(each.at_s / 60, getattr(each, measure)) for each in report.samples]},
                x_label="minutes",
            )
            for measure in MEASURES
        },
    )
