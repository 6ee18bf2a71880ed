"""The comparison as a console table, as JSON and as a page with plots."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from iterqr_training.machine import Machine
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich.console import Group
from rich.table import Table
from rich.text import Text

from iterqr_benchmarks.engine_comparison.bars import bars_plot
from iterqr_benchmarks.engine_comparison.engines import OURS
from iterqr_benchmarks.engine_comparison.results import Measurement, Summary, add_counters, summarize
from iterqr_benchmarks.report.json_file import plain_data

SCHEMA = "iterqr-engine-comparison/v1"


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """One run. `engines`: what each process said of itself; `skipped`: engines left out and why.

    `queries`: the query of each answer's id.
    """

    created_at: str
    machine: Machine
    settings: Mapping[str, Any]
    engines: Mapping[str, Mapping[str, Any]]
    remarks: Mapping[str, str]
    skipped: Mapping[str, str]
    queries: Mapping[str, str]
    measurements: tuple[Measurement, ...]

    def summaries(self, rounds: str) -> list[Summary]:
        """One for each engine and concurrency, over the "first" round or over "all"."""
        return [
            summarize(group, self.queries, self.settings["max_rewrites"])
            for _, group in self._groups(rounds == "first")
        ]

    def engine_counters(self) -> dict[int, dict[str, float]]:
        """What our engine's counters say of each concurrency, as `derived_counters`; empty if it did not run.

        Of several variants of ours, the last: the one tuned the most.
        """
        ours = [name for name in OURS if name in self.engines]
        return {
            concurrency: derived_counters(group)
            for (engine, concurrency), group in self._groups(only_first=False)
            if ours and engine == ours[-1]
        }

    def _groups(self, only_first: bool) -> Iterator[tuple[tuple[str, int], list[Measurement]]]:
        for concurrency in self.settings["concurrency"]:
            for engine in self.engines:
                group = [
                    each
                    for each in self.measurements
                    if (each.engine, each.concurrency) == (engine, concurrency) and (each.round == 1 or not only_first)
                ]
                if group:
                    yield (engine, concurrency), group


def derived_counters(measurements: Sequence[Measurement]) -> dict[str, float]:
    """Returns readings of the engine's counters: each of them per query, and milliseconds per step and row.

    A counter that is a mapping gives one reading for each of its names.
    """
    queries = sum(len(each.answers) for each in measurements)
    flat = dict(_flat(add_counters(each.stats for each in measurements)))
    readings = {f"{name.removesuffix('_total')} per query": value / queries for name, value in flat.items()}
    seconds = flat.get("step_seconds_total", 0.0)
    for unit in ("steps", "rows"):
        if count := flat.get(f"{unit}_total"):
            readings[f"ms per {unit.removesuffix('s')}"] = 1000 * seconds / count
    for source, drafted in _named(flat, "drafts_proposed_total"):
        accepted = flat.get(f"drafts_accepted_total: {source}", 0.0)
        readings[f"drafts accepted: {source}"] = accepted / drafted if drafted else 0.0
    return readings


def comparison_json(report: ComparisonReport) -> str:
    """Returns the report as a JSON document: what was measured and the numbers made from it."""
    document = {
        "schema": SCHEMA,
        **plain_data(report),
        "summaries": {rounds: plain_data(report.summaries(rounds)) for rounds in ("first", "all")},
        "engine_counters": plain_data(report.engine_counters()),
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def comparison_table(report: ComparisonReport) -> Group:
    """Returns what a person reads on the console."""
    table = Table(title="Engines on the same prompts (first round: prompts not seen before)")
    for name in ("at a time", "engine"):
        table.add_column(name)
    for name in ("p50 s", "p90 s", "queries/s", "all rounds: p50 s", "queries/s", "tokens", "rewrites", "valid"):
        table.add_column(name, justify="right")
    before = 0
    for first, every in zip(report.summaries("first"), report.summaries("all"), strict=True):
        if before and first.concurrency != before:
            table.add_section()
        table.add_row(
            str(first.concurrency) if first.concurrency != before else "",
            first.engine,
            f"{first.p50_s:.2f}",
            f"{first.p90_s:.2f}",
            f"{first.queries_per_s:.2f}",
            f"{every.p50_s:.2f}",
            f"{every.queries_per_s:.2f}",
            f"{every.tokens_per_query:.0f}",
            f"{every.rewrites_per_query:.1f}",
            f"{every.valid_share:.0%}",
            style="bold" if first.engine in OURS else "",
        )
        before = first.concurrency
    lines: list[Text] = [Text(sentence) for sentence in verdict(report)]
    lines += [Text(f"{name}: left out: {reason}") for name, reason in report.skipped.items()]
    lines += [Text(f"{name}: {remark}", style="dim") for name, remark in report.remarks.items()]
    return Group(table, *lines, *_counter_table(report))


def verdict(report: ComparisonReport) -> list[str]:
    """Returns each variant of ours beside the best peer, in sentences; empty if one of them is missing."""
    sentences = []
    for concurrency in report.settings["concurrency"]:
        here = [each for each in report.summaries("first") if each.concurrency == concurrency]
        peers = [each for each in here if each.engine not in OURS]
        if not peers:
            continue
        quick, strong = min(peers, key=lambda each: each.p50_s), max(peers, key=lambda each: each.queries_per_s)
        sentences += [
            f"{ours.engine}, {concurrency} at a time: p50 is {ours.p50_s / quick.p50_s:.2f} of the best peer's "
            f"({quick.engine}), queries/s {ours.queries_per_s / strong.queries_per_s:.2f} times ({strong.engine}); "
            f"valid {ours.valid_share:.0%} beside {max(each.valid_share for each in peers):.0%}"
            for ours in here
            if ours.engine in OURS
        ]
    return sentences


def comparison_html(report: ComparisonReport) -> str:
    """Returns the report as one page."""
    environment = Environment(
        loader=PackageLoader("iterqr_benchmarks.engine_comparison", "."), undefined=StrictUndefined, autoescape=True
    )
    style = resources.files("iterqr_benchmarks.report").joinpath("report.css").read_text("utf-8")
    first = report.summaries("first")
    levels = report.settings["concurrency"]

    def plot(label: str, value: str, level: int) -> Markup:
        here = [(each.engine, getattr(each, value)) for each in first if each.concurrency == level]
        return bars_plot(label, here, highlighted=OURS)

    return environment.get_template("comparison.html.j2").render(
        report=report,
        style=Markup(style),  # noqa: S704 - a file of this package
        first=first,
        all_rounds=report.summaries("all"),
        verdict=verdict(report),
        latency={level: plot(f"p50 in seconds, {level} at a time", "p50_s", level) for level in levels},
        throughput={level: plot(f"queries/s, {level} at a time", "queries_per_s", level) for level in levels},
        counters=report.engine_counters(),
    )


def _counter_table(report: ComparisonReport) -> list[Table]:
    counters = report.engine_counters()
    if not any(counters.values()):
        return []
    table = Table(title="Our engine's counters")
    table.add_column("")
    for concurrency in counters:
        table.add_column(f"{concurrency} at a time", justify="right")
    for name in next(iter(counters.values())):
        table.add_row(name, *(f"{readings.get(name, 0.0):.3g}" for readings in counters.values()))
    return [table]


def _flat(counters: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in counters.items():
        if isinstance(value, Mapping):
            for inner, count in _flat(value):
                yield f"{name}: {inner}", count
        else:
            yield name, float(value)


def _named(flat: Mapping[str, float], counter: str) -> list[tuple[str, float]]:
    prefix = f"{counter}: "
    return [(name.removeprefix(prefix), value) for name, value in flat.items() if name.startswith(prefix)]
