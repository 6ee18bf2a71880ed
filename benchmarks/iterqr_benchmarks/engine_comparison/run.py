"""`iterqr-bench engine`: prepares the engines, measures them in turns, writes report and plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from iterqr_proto.rewrite_format import Template, load_template
from iterqr_training.machine import this_machine
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from iterqr_benchmarks.demo.run import WARM_UP_QUERY
from iterqr_benchmarks.engine_comparison.engines import (
    OURS,
    REMARKS,
    EngineOptions,
    needs_built_model,
    prepare_engine,
)
from iterqr_benchmarks.engine_comparison.measuring import Turns
from iterqr_benchmarks.engine_comparison.peer_environment import PeerUnavailableError
from iterqr_benchmarks.engine_comparison.prompt_set import RecordedPrompt, load_prompts
from iterqr_benchmarks.engine_comparison.rendering import worker_prompt
from iterqr_benchmarks.engine_comparison.report import (
    ComparisonReport,
    comparison_html,
    comparison_json,
    comparison_table,
)
from iterqr_benchmarks.engine_comparison.results import Measurement
from iterqr_benchmarks.engine_comparison.worker_process import EngineProcess, EngineProcessError
from iterqr_benchmarks.errors import BenchmarkError
from iterqr_benchmarks.progress import StepDisplay, step
from iterqr_benchmarks.report.json_file import write_whole
from iterqr_benchmarks.stack.server_process import ModelBuild
from iterqr_benchmarks.stack.state import StackFolder

MAX_NEW_TOKENS = 96
MAX_REWRITES = 3
REPORT_FILES = ("report.json", "report.html")


@dataclass(frozen=True, slots=True)
class ComparisonOptions:
    """What to compare on what. `queries` for each concurrency, `rounds` over the same ones."""

    folder: Path
    engines: tuple[str, ...]
    engine: EngineOptions
    queries: int
    rounds: int
    concurrency: tuple[int, ...]


def run_comparison(options: ComparisonOptions, console: Console) -> ComparisonReport:
    """Measures and writes `report.json` and `report.html`.

    Raises:
        BenchmarkError: Our own engine does not run, or no engine does; nothing is left running.
    """
    options.folder.mkdir(parents=True, exist_ok=True)
    template = load_template()
    prompts = {
        level: _packed(chosen_prompts(load_prompts(), place, options.queries), template, level)
        for place, level in enumerate(options.concurrency)
    }
    skipped: dict[str, str] = {}
    with ExitStack() as processes:
        engines = open_engines(options.engines, options.engine, options.folder, processes, skipped, console)
        turns = Turns(engines, max_rewrites=MAX_REWRITES, max_new_tokens=MAX_NEW_TOKENS)
        measurements = _measure(turns, engines, prompts, options.rounds, template, console)
        about = {engine.name: dict(engine.about) for engine in engines}
    report = ComparisonReport(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=this_machine(),
        settings={
            "queries": options.queries,
            "rounds": options.rounds,
            "concurrency": list(options.concurrency),
            "threads": options.engine.threads,
            "model": options.engine.model,
            "max_rewrites": MAX_REWRITES,
            "max_new_tokens": MAX_NEW_TOKENS,
            "decoding": "greedy",
        },
        engines=about,
        remarks={name: REMARKS[name] for name in about},
        skipped=skipped,
        queries={each["id"]: each["query"] for level in prompts.values() for each in level},
        measurements=tuple(measurements),
    )
    files = [options.folder / name for name in REPORT_FILES]
    write_whole(files[0], comparison_json(report))
    write_whole(files[1], comparison_html(report))
    console.print(comparison_table(report), highlight=False)
    for file in files:
        console.print(str(file), highlight=False, soft_wrap=True)
    return report


def chosen_prompts(recorded: Sequence[RecordedPrompt], place: int, count: int) -> list[RecordedPrompt]:
    """Returns the prompts of one concurrency: those after the ones of the levels before.

    So the first round of every level is of prompts that no engine has seen. Past the end it begins again.

    Raises:
        BenchmarkError: More are wanted than there are.
    """
    if count > len(recorded):
        raise BenchmarkError(f"--queries: at most {len(recorded)} are recorded, got {count}")
    return [recorded[(place * count + number) % len(recorded)] for number in range(count)]


def open_engines(
    names: Sequence[str],
    options: EngineOptions,
    folder: Path,
    processes: ExitStack,
    skipped: dict[str, str],
    console: Console,
) -> list[EngineProcess]:
    """Prepares and starts engines one after another; `processes` ends them.

    A peer that cannot be had is left out, and `skipped` says why.

    Raises:
        BenchmarkError: Our engine does not start, or none is left.
    """
    engines = []
    with StepDisplay(console) as steps:
        built = Path()
        if needs_built_model(names):
            with step(steps, "model") as work:
                built = Path(ModelBuild(StackFolder(folder), options.model).run(work.detail))
                work.result = built.name
        for name in names:
            with step(steps, name) as work:
                try:
                    work.detail("installing or finding")
                    process = prepare_engine(name, options, built, folder)
                    work.detail("loading")
                    engines.append(processes.enter_context(process))
                    work.result = REMARKS[name]
                except (PeerUnavailableError, EngineProcessError) as error:
                    if name in OURS:
                        raise
                    skipped[name] = str(error).splitlines()[0]
                    work.result = f"left out: {skipped[name]}"
    if not engines:
        raise BenchmarkError("no engine is left to measure")
    return engines


def _packed(recorded: Sequence[RecordedPrompt], template: Template, level: int) -> list[dict[str, Any]]:
    return [worker_prompt(prompt, template, f"{level}-{number}") for number, prompt in enumerate(recorded)]


def _measure(
    turns: Turns,
    engines: Sequence[EngineProcess],
    prompts: dict[int, list[dict[str, Any]]],
    rounds: int,
    template: Template,
    console: Console,
) -> list[Measurement]:
    measurements: list[Measurement] = []
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        total = len(engines) * (1 + rounds * sum(len(p) if level == 1 else 1 for level, p in prompts.items()))
        task = progress.add_task("", total=total)

        def on_run(where: str) -> Callable[[str], None]:
            return lambda engine: progress.update(task, description=f"{where}: {engine}", advance=1)

        turns.warm_up(worker_prompt(RecordedPrompt("", WARM_UP_QUERY, "", ()), template, "warm"), on_run("warm-up"))
        for level, chosen in prompts.items():
            for number in range(1, rounds + 1):
                heard = on_run(f"{level} at a time, round {number}")
                if level == 1:
                    measurements += turns.single_stream(chosen, number, heard)
                else:
                    measurements += turns.concurrent(chosen, level, number, heard)
                if not console.is_terminal:
                    console.print(f"  {level} at a time, round {number} of {rounds} done", highlight=False)
    return measurements
