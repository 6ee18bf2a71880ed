"""The demo on the terminal: one row a query as it is searched, then the summary."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from iterqr_benchmarks.demo.observation import FUSED, Hit, Observation
from iterqr_benchmarks.evaluation.comparison import CUTOFF
from iterqr_benchmarks.evaluation.ranking import precision_at
from iterqr_benchmarks.report.model import Report

_NEW_HITS_SHOWN = 3
_KIND_STYLES = ("cyan", "magenta", "yellow", "green", "blue", "red", "bright_magenta", "bright_cyan")


class QueryTable:
    """A table whose rows are printed one by one, columns aligned with those before."""

    def __init__(self, console: Console, *, total: int, kinds: Sequence[str]) -> None:
        self._console = console
        self._total = total
        self._style = {kind: _KIND_STYLES[i % len(_KIND_STYLES)] for i, kind in enumerate(sorted(set(kinds)))}
        self._number = 0

    def head(self) -> None:
        """Prints the head of the table."""
        names = (
            "query",
            "understood as",
            "rewrites (retrieved)",
            f"precision@{CUTOFF}, what the channel added",
            "time",
        )
        self._print(*(Text(name, style="bold") for name in names))

    def row(self, observation: Observation) -> None:
        """Prints one query."""
        self._number += 1
        self._console.print(Rule(style="bright_black"))
        self._print(
            self._query(observation),
            _understood(observation),
            _rewrites(observation),
            _added(observation),
            _time(observation),
        )

    def _print(self, *cells: RenderableType) -> None:
        table = Table.grid(padding=(0, 2, 0, 0), expand=True)
        for ratio in (22, 26, 24, 36):
            table.add_column(ratio=ratio, overflow="fold")
        table.add_column(width=8, justify="right")
        table.add_row(*cells)
        self._console.print(table, highlight=False)

    def _query(self, observation: Observation) -> Text:
        kind = Text(observation.kind, style=self._style.get(observation.kind, ""))
        where = Text(f" · {observation.region} · {self._number}/{self._total}", style="dim")
        return Text(observation.query, style="bold") + Text("\n") + kind + where


def _understood(observation: Observation) -> RenderableType:
    told = observation.rewriting
    lines = []
    for name, value in (("fix", told.fix), ("intent", told.intent), ("meaning", told.meaning)):
        lines.append(Text(f"{name} ", style="dim") + (Text(value) if value else Text("-", style="red")))
    return Text("\n").join(lines)


def _rewrites(observation: Observation) -> RenderableType:
    rewrites = observation.rewriting.rewrites
    if not rewrites:
        return Text(observation.rewriting.outcome, style="red")
    used = {each.rewrite_id for each in observation.working_rewrites}
    return Text("\n").join(
        Text(each.text, style="" if each.rewrite_id in used else "dim") + Text(f" ({each.retrieved})", style="dim")
        for each in rewrites
    )


def _added(observation: Observation) -> RenderableType:
    before, after = (
        precision_at(CUTOFF, [hit.dish_id for hit in hits], observation.relevant)
        for hits in (observation.plain_hits, observation.channel_hits)
    )
    style = "green" if after > before else "red" if after < before else "dim"
    arrow = "▲" if after > before else "▼" if after < before else "="
    lines = [Text(f"{before:.1f} → {after:.1f} {arrow}", style=f"bold {style}" if style != "dim" else style)]
    new = observation.new_true_hits(CUTOFF)
    lines += [Text("✓ ", style="green") + _hit_line(hit) for hit in new[:_NEW_HITS_SHOWN]]
    if len(new) > _NEW_HITS_SHOWN:
        lines.append(Text(f"  and {len(new) - _NEW_HITS_SHOWN} more", style="dim"))
    if observation.rewriting.outcome != FUSED:
        lines.append(Text(observation.rewriting.outcome, style="red"))
    return Text("\n").join(lines)


def _hit_line(hit: Hit) -> Text:
    return Text(hit.title) + Text(f"  {hit.merchant}", style="dim")


def _time(observation: Observation) -> Text:
    return Text(_duration(observation.channel_ms)) + Text(f"\n{observation.plain_ms:.0f} ms", style="dim")


def summary(report: Report, files: Sequence[str]) -> RenderableType:
    """The closing words: what worked, what it brought, what it cost, where to read on."""
    verdict = report.verdict
    mark = Text("✓ ", style="bold green") if verdict.passed else Text("✗ ", style="bold red")
    head = mark + Text(
        f"{verdict.working} of {verdict.queries} queries got a valid chain of thought and a rewrite that differs and "
        f"retrieves documents ({verdict.required} are required)",
        style="bold",
    )
    parts: list[RenderableType] = [head, *(Text(f"  {fault}", style="red") for fault in verdict.faults), Text()]
    parts += [_measures(report), Text(), _sentences(report), Text()]
    parts += [Text(f"{file}", style="cyan") for file in files]
    return Panel(Padding(Group(*parts), (1, 2)), title="IterQR demo", border_style="green" if verdict.passed else "red")


def _measures(report: Report) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("", "queries", "P@10 without", "with", "recall@50 without", "with", "harmed", "no result"):
        table.add_column(name, justify="left" if not name else "right")
    for kind, each in [("all", report.overall), *report.by_kind.items()]:
        table.add_row(
            kind,
            str(each.queries),
            f"{each.plain.precision_at_10:.3f}",
            _against(each.channel.precision_at_10, each.plain.precision_at_10),
            f"{each.plain.recall_at_50:.3f}",
            _against(each.channel.recall_at_50, each.plain.recall_at_50),
            f"{each.harm_rate:.0%}",
            f"{each.plain_empty} → {each.channel_empty}",
            style="bold" if kind == "all" else "",
        )
    return table


def _against(after: float, before: float) -> Text:
    style = "green" if after > before else "red" if after < before else ""
    return Text(f"{after:.3f}", style=style)


def _sentences(report: Report) -> Text:
    gain = report.overall.precision_gain
    covered = ", ".join(f"{each.budget_ms:,} ms {each.share:.0%}" for each in report.coverage)
    search, plain = report.times["search with the channel"], report.times["plain search"]
    return Text(
        f"precision@10: {gain.mean:+.3f} ({gain.confidence:.0%} interval {gain.low:+.3f} to {gain.high:+.3f}), "
        f"rose for {report.overall.lift_rate:.0%} of the queries and fell for "
        f"{report.overall.harm_rate:.0%}\n"
        f"searches whose rewrites came within {covered}\n"
        f"a search takes {_duration(search.p50_ms)} at the median (95%: {_duration(search.p95_ms)}), "
        f"plain {plain.p50_ms:.0f} ms"
    )


def _duration(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.2f} s" if milliseconds >= 1000 else f"{milliseconds:.0f} ms"
