"""The report on the console."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from iterqr_training.experiments.report_model import ExperimentReport
from iterqr_training.experiments.wording import (
    count,
    decimal,
    interval,
    lift_interval,
    p_value,
    percent,
    signed,
    signed_percent,
)

_STYLES = {"good": "green", "bad": "red", "plain": ""}


def report_console(report: ExperimentReport) -> Group:
    """Returns the arms, the metrics by every test that was made, and the conclusions."""
    parts: list[RenderableType] = [_arms(report), _metrics(report)]
    if report.aa:
        parts.append(_aa(report))
    parts += [Text(f"• {each.text}", style=_STYLES[each.tone]) for each in report.conclusions]
    return Group(*parts)


def _arms(report: ExperimentReport) -> Table:
    table = _table(f"experiment {report.context.experiment}", "arm", "users", "searches", "orders", "value")
    for arm in report.arms:
        table.add_row(Text(arm.arm), count(arm.users), count(arm.searches), count(arm.orders), count(arm.value))
    matches = "as planned" if report.sample_ratio.matches else "NOT as planned"
    table.caption = Text(f"split {matches}, p {p_value(report.sample_ratio.p_value)}")
    return table


def _metrics(report: ExperimentReport) -> Table:
    table = _table("", "metric", "test", "control", "difference", "interval", "lift", "interval", "p")
    for place, each in enumerate(report.comparisons):
        table.add_row(
            each.metric.label,
            "unpaired",
            decimal(each.control.value),
            signed(each.difference.value),
            interval(each.difference),
            signed_percent(each.lift.value),
            lift_interval(each.lift),
            p_value(each.delta.p_value),
        )
        if report.cuped is not None:
            adjusted = report.cuped.adjusted[place]
            table.add_row(
                "",
                f"CUPED (variance −{percent(adjusted.variance_reduction)})",
                "",
                signed(adjusted.difference.value),
                interval(adjusted.difference),
                signed_percent(adjusted.lift.value),
                lift_interval(adjusted.lift),
                p_value(adjusted.p_value),
            )
        if report.paired is not None:
            replayed = report.paired.comparisons[place]
            table.add_row(
                "",
                "paired replay",
                decimal(replayed.control),
                signed(replayed.difference.value),
                interval(replayed.difference),
                signed_percent(replayed.lift.value),
                lift_interval(replayed.lift),
                p_value(replayed.p_value),
            )
    return table


def _aa(report: ExperimentReport) -> Table:
    table = _table("A/A", "metric", "splits", "rejected", "interval", "holds")
    for each in report.aa:
        ends = f"{percent(each.rejections.low)} to {percent(each.rejections.high)}"
        rejected = percent(each.rejections.value)
        table.add_row(each.metric.label, count(each.defined), rejected, ends, "yes" if each.holds else "NO")
    return table


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=Text(title) if title else None)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table
