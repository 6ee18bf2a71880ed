"""The report as one page that needs nothing else: no script, no font, no image from elsewhere."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from iterqr_benchmarks.demo.observation import REWRITE, ChannelTag
from iterqr_benchmarks.evaluation.comparison import CUTOFF, DEEP_CUTOFF
from iterqr_benchmarks.report.model import QueryReport, Report, fused_after_ms
from iterqr_benchmarks.report.plots import coverage_plot, gains_plot, kinds_plot, pair_plot

_TEMPLATE = "report.html.j2"


def report_html(report: Report) -> str:
    """Returns the page. Query text, titles and rewrites are data: everything is escaped."""
    environment = Environment(
        loader=PackageLoader("iterqr_benchmarks.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = _duration
    environment.filters["signed"] = _signed
    environment.globals["pair_plot"] = _pair
    environment.globals["channel_label"] = channel_label
    return environment.get_template(_TEMPLATE).render(
        report=report,
        cutoff=CUTOFF,
        deep_cutoff=DEEP_CUTOFF,
        gains=gains_plot([(each.observation.query, each.gain) for each in report.queries]),
        kinds=kinds_plot(report.by_kind),
        coverage=coverage_plot([fused_after_ms(each.observation) for each in report.queries], report.coverage),
    )


def channel_label(query: QueryReport, tag: ChannelTag) -> str:
    """How a hit's channel is told: `original #3`, or `rw 2 #1` for the second rewrite of the query."""
    if tag.name != REWRITE:
        return f"{tag.name} #{tag.rank}"
    numbers = {each.rewrite_id: number for number, each in enumerate(query.observation.rewriting.rewrites, start=1)}
    return f"rw {numbers.get(tag.rewrite_id, '?')} #{tag.rank}"


def _pair(query: QueryReport) -> Markup:
    return pair_plot(query.plain.precision_at_10, query.channel.precision_at_10)


def _duration(milliseconds: float) -> str:
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.2f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
