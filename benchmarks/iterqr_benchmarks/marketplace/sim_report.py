"""What came of a simulation: as data, as JSON, as a page and on the console."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from typing import Any

from iterqr_training.machine import Machine, this_machine
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich.console import Group
from rich.table import Table
from rich.text import Text

from iterqr_benchmarks.marketplace.chain import ChainResult
from iterqr_benchmarks.marketplace.truth import CreditScore
from iterqr_benchmarks.report.json_file import plain_data

SCHEMA = "iterqr-simulation/v1"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A sentence of the report, and whether it is as it should be."""

    holds: bool
    text: str


@dataclass(frozen=True, slots=True)
class SimReport:
    """The report. `settings` by part; `result` of all stages."""

    created_at: str
    machine: Machine
    settings: Mapping[str, Any]
    verdicts: tuple[Verdict, ...]
    result: ChainResult


def sim_report(settings: Mapping[str, Any], result: ChainResult) -> SimReport:
    """Returns the report of what was done."""
    return SimReport(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=this_machine(),
        settings=settings,
        verdicts=_verdicts(result),
        result=result,
    )


def sim_json(report: SimReport) -> str:
    """Returns the report as a JSON document; precision, recall and rates are told beside what they are made of."""
    told = plain_data(report)
    told["result"]["truth"]["scores"] = [
        {**plain_data(each), "precision": each.precision, "recall": each.recall} for each in report.result.truth.scores
    ]
    for arm, summary in report.result.traffic.items():
        told["result"]["traffic"][arm] |= {
            "rewritten_share": summary.rewritten_share,
            "cache_hit_rate": summary.cache_hit_rate,
        }
    return json.dumps({"schema": SCHEMA, **told}, indent=1, ensure_ascii=False, default=str) + "\n"


def sim_html(report: SimReport) -> str:
    """Returns the report as one page; the experiment's is beside it."""
    environment = Environment(
        loader=PackageLoader("iterqr_benchmarks.marketplace", "."), undefined=StrictUndefined, autoescape=True
    )
    environment.filters.update(count=lambda value: f"{value:,}", percent=_percent, decimal=lambda value: f"{value:.4f}")
    style = resources.files("iterqr_benchmarks.report").joinpath("report.css").read_text("utf-8")
    return environment.get_template("sim_report.html.j2").render(
        report=report,
        result=report.result,
        style=Markup(style),  # noqa: S704 - a file of this package
        touched=_touched,
    )


def sim_table(report: SimReport) -> Group:
    """Returns what a person reads on the console."""
    funnels = Table(title="From search to order")
    funnels.add_column("")
    for funnel in report.result.judged.funnels:
        funnels.add_column(funnel.arm, justify="right")
    for steps in zip(*(funnel.steps for funnel in report.result.judged.funnels), strict=True):
        funnels.add_row(steps[0].name, *(f"{each.searches:,} ({each.share:.1%})" for each in steps))
    truth = Table(title="Attribution against the truth")
    for column in ("", "touched by"):
        truth.add_column(column)
    for column in ("events", "to be credited", "credited", "right", "precision", "recall"):
        truth.add_column(column, justify="right")
    for score in report.result.truth.scores:
        counts = (score.events, score.expected, score.credited, score.right)
        rates = (f"{score.precision:.4f}", f"{score.recall:.4f}")
        truth.add_row(f"{score.kind}s", _touched(score), *(f"{count:,}" for count in counts), *rates)
    seconds = ", ".join(f"{stage} {took:,.0f}" for stage, took in report.result.seconds.items())
    return Group(
        funnels,
        truth,
        *(Text(each.text, style="green" if each.holds else "bold red") for each in report.verdicts),
        *(Text(each.text) for each in report.result.judged.conclusions),
        Text(f"seconds: {seconds}", style="dim"),
    )


def _verdicts(result: ChainResult) -> tuple[Verdict, ...]:
    audits = result.collected.audits
    wrong = [each for each in audits if not each.holds]
    lost = (
        "; ".join(f"{each.what}: {each.lost:,} lost, {each.twice:,} twice, {each.strange:,} unknown" for each in wrong)
        or f"All {sum(each.ledger for each in audits):,} records of the ledger were collected, each once."
    )
    whole = ", ".join(
        f"{each.kind}s {each.precision:.4f} and {each.recall:.4f}" for each in result.truth.scores if not each.touched
    )
    return (
        Verdict(not wrong, lost),
        Verdict(result.truth.exact, f"Precision and recall of attribution: {whole}."),
        Verdict(result.health.state != "fail", f"Health of the signals: {result.health.state}."),
    )


def _touched(score: CreditScore) -> str:
    return score.touched.replace("_", " ") or "all"


def _percent(value: float) -> str:
    return f"{value:.1%}"
