"""`iterqr-bench engine-curve`: what our engine costs by concurrency and by prompt length."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from iterqr_proto.rewrite_format import Prompt, Segment, load_template
from iterqr_training.machine import this_machine
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich.console import Console, Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from iterqr_benchmarks.catalog import build_catalog
from iterqr_benchmarks.engine_comparison.engines import OURS, EngineOptions
from iterqr_benchmarks.engine_comparison.prompt_set import load_prompts
from iterqr_benchmarks.engine_comparison.rendering import packed_prompt, prompted_query, worker_prompt
from iterqr_benchmarks.engine_comparison.results import mean, percentile
from iterqr_benchmarks.engine_comparison.run import MAX_NEW_TOKENS, MAX_REWRITES, open_engines
from iterqr_benchmarks.engine_comparison.worker_process import EngineProcess, RunResult
from iterqr_benchmarks.report.json_file import write_whole
from iterqr_benchmarks.report.lines_plot import lines_plot
from iterqr_benchmarks.stack.settings import SEED

SCHEMA = "iterqr-engine-curve/v1"
CONCURRENCY = (1, 2, 4, 8, 16, 32)
PROMPT_TOKENS = (100, 250, 500, 1_000, 1_500, 2_000)
_LENGTH_PROMPTS = 8  # of each length, one at a time
_TOKENS_PER_CHARACTER = 0.25  # a first guess; the points are placed at the counted tokens


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One setting of the curve. `prompt_tokens` counts whole prompts, on average; latencies in seconds."""

    concurrency: int
    prompt_tokens: float
    queries: int
    p50_s: float
    p99_s: float
    first_token_p50_s: float
    output_tokens: float
    queries_per_s: float


@dataclass(frozen=True, slots=True)
class CurveOptions:
    """`queries` at each concurrency (those that fill it at the least)."""

    folder: Path
    engine: EngineOptions
    queries: int


def run_curve(options: CurveOptions, console: Console) -> dict[str, list[CurvePoint]]:
    """Measures and writes `curve.json` and `curve.html`; returns the points by what they vary.

    Raises:
        BenchmarkError: The engine does not run; nothing is left running.
    """
    options.folder.mkdir(parents=True, exist_ok=True)
    template = load_template()
    recorded = load_prompts()
    prompts = [worker_prompt(each, template, str(number)) for number, each in enumerate(recorded)]
    titles = [dish.title for dish in build_catalog(seed=SEED).dishes]
    lengths = {
        tokens: [long_prompt(tokens, number, titles, recorded[number].query) for number in range(_LENGTH_PROMPTS)]
        for tokens in PROMPT_TOKENS
    }
    with ExitStack() as processes:
        engine = open_engines((next(iter(OURS)),), options.engine, options.folder, processes, {}, console)[0]
        points = _measure(engine, prompts, lengths, options.queries, console)
    document = {
        "schema": SCHEMA,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": asdict(this_machine()),
        "engine": dict(engine.about),
        **{name: [asdict(point) for point in line] for name, line in points.items()},
    }
    write_whole(options.folder / "curve.json", json.dumps(document, indent=1) + "\n")
    write_whole(options.folder / "curve.html", _page(document, points))
    console.print(_tables(points), highlight=False)
    console.print(str(options.folder / "curve.html"), highlight=False, soft_wrap=True)
    return points


def long_prompt(tokens: int, number: int, titles: Sequence[str], query: str) -> dict[str, Any]:
    """Returns a prompt of about so many tokens: a short instruction, titles of the catalog, and the query.

    Prompts of different numbers have nothing in common after the instruction.
    """
    chosen = random.Random(tokens * 1_000 + number)
    room = int(tokens / _TOKENS_PER_CHARACTER) - 200
    listed = [chosen.choice(titles)]
    while sum(map(len, listed)) + 2 * len(listed) < room:
        listed.append(chosen.choice(titles))
    text = prompted_query(query)
    prompt = Prompt(
        prefix=(Segment("<|im_start|>system\nRewrite food queries: fix, intent, meaning, rw lines.<|im_end|>\n"),),
        suffix=(
            Segment("<|im_start|>user\npopular:"),
            Segment(" " + "; ".join(listed), is_data=True),
            Segment("\nquery:"),
            Segment(" " + text, is_data=True),
            Segment("<|im_end|>\n<|im_start|>assistant\n"),
        ),
    )
    return packed_prompt(f"{tokens}-{number}", text, tuple(listed[:5]), prompt)


def _measure(
    engine: EngineProcess,
    prompts: Sequence[Mapping[str, Any]],
    lengths: Mapping[int, Sequence[Mapping[str, Any]]],
    queries: int,
    console: Console,
) -> dict[str, list[CurvePoint]]:
    points: dict[str, list[CurvePoint]] = {"by_concurrency": [], "by_prompt_length": []}
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("warm-up", total=len(CONCURRENCY) + len(lengths))
        counted = _Counted(engine)
        counted.run(prompts[-1:], 1)
        given = 0
        for level in CONCURRENCY:
            progress.update(task, description=f"{level} at a time")
            count = max(queries, level)
            # Each level has prompts of its own, as long as there are some: repeated ones are mostly in the cache.
            chosen = [prompts[(given + number) % (len(prompts) - 1)] for number in range(count)]
            given += count
            points["by_concurrency"].append(counted.run(chosen, level))
            progress.advance(task)
        for tokens, chosen_lengths in lengths.items():
            progress.update(task, description=f"prompts of about {tokens} tokens")
            points["by_prompt_length"].append(counted.run(chosen_lengths, 1))
            progress.advance(task)
    return points


class _Counted:
    """Runs prompts and counts their tokens by the engine's counters."""

    def __init__(self, engine: EngineProcess) -> None:
        self._engine = engine
        self._before = 0

    def run(self, prompts: Sequence[Mapping[str, Any]], concurrency: int) -> CurvePoint:
        result = self._engine.run(
            prompts, concurrency=concurrency, max_rewrites=MAX_REWRITES, max_new_tokens=MAX_NEW_TOKENS
        )
        before, self._before = self._before, self._tokens(result)
        latencies = [answer.latency_s for answer in result.answers]
        return CurvePoint(
            concurrency=concurrency,
            prompt_tokens=(self._before - before) / len(prompts),
            queries=len(prompts),
            p50_s=percentile(latencies, 50),
            p99_s=percentile(latencies, 99),
            first_token_p50_s=percentile([answer.first_s for answer in result.answers], 50),
            output_tokens=mean(answer.tokens for answer in result.answers),
            queries_per_s=len(prompts) / result.wall_s,
        )

    def _tokens(self, result: RunResult) -> int:
        return int(result.stats["prompt_tokens_total"])


def _tables(points: Mapping[str, Sequence[CurvePoint]]) -> Group:
    tables = []
    for title, line in points.items():
        table = Table(title=title.replace("_", " "))
        for name in (
            "at a time",
            "prompt tokens",
            "queries",
            "p50 s",
            "p99 s",
            "first token p50 s",
            "output tokens",
            "queries/s",
        ):
            table.add_column(name, justify="right")
        for point in line:
            table.add_row(
                str(point.concurrency),
                f"{point.prompt_tokens:.0f}",
                str(point.queries),
                f"{point.p50_s:.2f}",
                f"{point.p99_s:.2f}",
                f"{point.first_token_p50_s:.2f}",
                f"{point.output_tokens:.0f}",
                f"{point.queries_per_s:.2f}",
            )
        tables.append(table)
    return Group(*tables)


def _page(document: Mapping[str, Any], points: Mapping[str, Sequence[CurvePoint]]) -> str:
    def plot(label: str, x: str, y: Sequence[str], unit: str, line: Sequence[CurvePoint]) -> Markup:
        lines = {name: [(float(getattr(each, x)), float(getattr(each, name))) for each in line] for name in y}
        return lines_plot(label, lines, x_label=unit)

    level, length = points["by_concurrency"], points["by_prompt_length"]
    plots = {
        "p50 and p99 in seconds by queries at a time": ("concurrency", ("p50_s", "p99_s"), "at a time", level),
        "queries/s by queries at a time": ("concurrency", ("queries_per_s",), "at a time", level),
        "p50 and p99 in seconds by prompt length": ("prompt_tokens", ("p50_s", "p99_s"), "tokens", length),
        "queries/s by prompt length, one at a time": ("prompt_tokens", ("queries_per_s",), "tokens", length),
    }
    environment = Environment(
        loader=PackageLoader("iterqr_benchmarks.engine_comparison", "."), undefined=StrictUndefined, autoescape=True
    )
    style = resources.files("iterqr_benchmarks.report").joinpath("report.css").read_text("utf-8")
    return environment.get_template("curve.html.j2").render(
        document=document,
        style=Markup(style),  # noqa: S704 - a file of this package
        plots={label: plot(label, *described) for label, described in plots.items()},
        points=points,
    )
