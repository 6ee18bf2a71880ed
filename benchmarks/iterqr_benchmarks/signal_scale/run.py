"""`iterqr-bench signals`: attribution at several sizes on several engines."""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from iterqr_dev_node.java import find_jdk
from iterqr_training.errors import TrainingError
from iterqr_training.machine import this_machine
from iterqr_training.signals.engines import open_engine
from rich.console import Console

from iterqr_benchmarks.errors import BenchmarkError
from iterqr_benchmarks.progress import Step, StepDisplay, step
from iterqr_benchmarks.report.json_file import write_whole
from iterqr_benchmarks.signal_scale.agreement import Agreement, compare_marts
from iterqr_benchmarks.signal_scale.generator import GeneratorOptions, generate
from iterqr_benchmarks.signal_scale.measuring import Measured, measure
from iterqr_benchmarks.signal_scale.report import SignalScaleReport, scale_html, scale_json, scale_table

ENGINES = ("duckdb", "spark")
_DISTRIBUTIONS = ("ibis-framework", "duckdb", "pyspark", "pyarrow", "sqlglot")


@dataclass(frozen=True, slots=True)
class SignalScaleOptions:
    """`folder`: for the generated tables, which are kept, the marts and the report. `memory_gb`: of each engine."""

    folder: Path
    impressions: tuple[int, ...]
    engines: tuple[str, ...]
    memory_gb: int
    seed: int
    timeout_s: float


def run_signal_scale(options: SignalScaleOptions, console: Console) -> SignalScaleReport:
    """Generates, attributes and compares size after size, the report being written again after each run.

    Raises:
        BenchmarkError: The tables could not be generated or compared. A run that fails is in the report.
    """
    options.folder.mkdir(parents=True, exist_ok=True)
    if "spark" in options.engines:
        os.environ["JAVA_HOME"] = str(find_jdk().home)
    raw_rows: dict[int, Mapping[str, int]] = {}
    runs: list[Measured] = []
    agreements: list[Agreement] = []
    report = _report(options, raw_rows, runs, agreements)
    with StepDisplay(console, title_width=34) as steps:
        for impressions in options.impressions:
            with step(steps, f"{impressions:,} impressions: tables") as work:
                raw = options.folder / f"raw-{impressions}-{options.seed}"
                raw_rows[impressions] = _generated(options, impressions, raw, work)
            for engine in options.engines:
                with step(steps, f"{impressions:,} impressions: {engine}") as work:
                    runs.append(_measured(options, engine, impressions, raw))
                    work.result = runs[-1].failure or f"{runs[-1].peak_memory_mib:,.0f} MiB"
                report = _report(options, raw_rows, runs, agreements)
                _write(report, options.folder)
            done = [run.engine for run in runs if run.impressions == impressions and not run.failure]
            for other in done[1:]:
                with step(steps, f"{impressions:,} impressions: {done[0]}, {other}") as work:
                    agreements += _compared(options, impressions, done[0], other)
                report = _report(options, raw_rows, runs, agreements)
                _write(report, options.folder)
    console.print(scale_table(report))
    console.print(f"{options.folder / 'signals.json'}, {options.folder / 'signals.html'}", highlight=False)
    return report


def _generated(options: SignalScaleOptions, impressions: int, raw: Path, work: Step) -> Mapping[str, int]:
    counts = raw.with_suffix(".json")
    if not (raw.is_dir() and counts.is_file()):
        for partial in (raw, raw.with_name(f".{raw.name}.partial")):
            shutil.rmtree(partial, ignore_errors=True)
        try:
            rows = generate(
                GeneratorOptions(impressions, options.seed), raw, lambda done: work.detail(f"{done:,} impressions")
            )
        except OSError as error:
            raise BenchmarkError(f"tables of {impressions:,} impressions could not be written: {error}") from error
        write_whole(counts, json.dumps(rows) + "\n")
    found: dict[str, int] = json.loads(counts.read_text("utf-8"))
    work.result = f"{sum(found.values()):,} rows"
    return found


def _measured(options: SignalScaleOptions, engine: str, impressions: int, raw: Path) -> Measured:
    out = _marts(options, engine, impressions)
    shutil.rmtree(out, ignore_errors=True)
    spill = options.folder / "spill"
    spill.mkdir(exist_ok=True)
    url = {
        "duckdb": f"duckdb://?memory_limit={options.memory_gb}GB&temp_folder={spill}",
        "spark": f"spark+local?driver_memory={options.memory_gb}g&temp_folder={spill}",
    }[engine]
    return measure(engine, url, impressions, raw, out, options.timeout_s)


def _compared(options: SignalScaleOptions, impressions: int, first: str, second: str) -> list[Agreement]:
    try:
        with open_engine(f"duckdb://?memory_limit={options.memory_gb}GB&temp_folder={options.folder}") as engine:
            return list(
                compare_marts(
                    engine,
                    impressions,
                    _marts(options, first, impressions),
                    _marts(options, second, impressions),
                )
            )
    except TrainingError as error:
        raise BenchmarkError(f"marts of {impressions:,} impressions could not be compared: {error}") from error


def _marts(options: SignalScaleOptions, engine: str, impressions: int) -> Path:
    return options.folder / f"marts-{engine}-{impressions}"


def _report(
    options: SignalScaleOptions,
    raw_rows: Mapping[int, Mapping[str, int]],
    runs: list[Measured],
    agreements: list[Agreement],
) -> SignalScaleReport:
    return SignalScaleReport(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=this_machine(),
        versions=_versions(options.engines),
        settings={"memory of each engine, GB": options.memory_gb, "seed": options.seed},
        raw_rows=dict(raw_rows),
        runs=tuple(runs),
        agreements=tuple(agreements),
    )


def _versions(engines: tuple[str, ...]) -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    if "spark" in engines:
        found["java"] = str(find_jdk().major)
    return found


def _write(report: SignalScaleReport, folder: Path) -> None:
    write_whole(folder / "signals.json", scale_json(report))
    write_whole(folder / "signals.html", scale_html(report))
