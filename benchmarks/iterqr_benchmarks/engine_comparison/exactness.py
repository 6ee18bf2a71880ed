"""`iterqr-bench engine-exactness`: whether drafts, and running beside others, leave the engine's texts as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from iterqr_proto.rewrite_format import load_template
from iterqr_training.machine import this_machine
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from iterqr_benchmarks.engine_comparison.engines import OURS, EngineOptions
from iterqr_benchmarks.engine_comparison.prompt_set import load_prompts
from iterqr_benchmarks.engine_comparison.rendering import worker_prompt
from iterqr_benchmarks.engine_comparison.run import MAX_NEW_TOKENS, MAX_REWRITES, open_engines
from iterqr_benchmarks.engine_comparison.worker_process import Answer
from iterqr_benchmarks.report.json_file import write_whole

SCHEMA = "iterqr-engine-exactness/v1"
_AT_ONCE = 40  # prompts handed over together, for progress
NEAR_TIE = 0.1  # difference of natural log-probabilities up to which two tokens count as equally likely
_PLAIN: Mapping[str, tuple[int, int]] = {"one token a step, 16 at a time": (0, 16)}
_COMPARED: Mapping[str, tuple[int, int]] = {"drafts, one at a time": (16, 1), "drafts, 16 at a time": (16, 16)}


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two runs part: the token each chose there, with its natural log-probability (None: it had ended)."""

    query: str
    position: int
    expected: tuple[int, float] | None
    got: tuple[int, float] | None

    @property
    def is_near_tie(self) -> bool:
        """Whether both tokens were about as likely, so that the last digits decided."""
        if self.expected is None or self.got is None:
            return False
        return abs(self.expected[1] - self.got[1]) <= NEAR_TIE


@dataclass(frozen=True, slots=True)
class Agreement:
    """One run beside plain decoding."""

    run: str
    queries: int
    differences: tuple[Difference, ...]

    @property
    def share(self) -> float:
        """Of the queries, those with the same tokens."""
        return 1 - len(self.differences) / self.queries


@dataclass(frozen=True, slots=True)
class ExactnessOptions:
    """What to run; `queries` are taken from the recorded prompts' end: tuning queries, unlike the comparison's."""

    folder: Path
    engine: EngineOptions
    queries: int


def compare(queries: Sequence[str], expected: Sequence[Answer], got: Sequence[Answer]) -> tuple[Difference, ...]:
    """Returns where the answers part, for each query whose tokens are not the same."""
    differences = []
    for query, one, other in zip(queries, expected, got, strict=True):
        if list(one.token_ids) == list(other.token_ids):
            continue
        pairs = zip(one.token_ids, other.token_ids, strict=False)
        shorter = min(len(one.token_ids), len(other.token_ids))
        position = next((i for i, (a, b) in enumerate(pairs) if a != b), shorter)
        differences.append(Difference(query, position, _token(one, position), _token(other, position)))
    return tuple(differences)


def run_exactness(options: ExactnessOptions, console: Console) -> list[Agreement]:
    """Measures and writes `exactness.json`.

    Raises:
        BenchmarkError: The engine does not run; nothing is left running.
    """
    options.folder.mkdir(parents=True, exist_ok=True)
    template, recorded = load_template(), load_prompts()[-options.queries :]
    prompts = [worker_prompt(each, template, str(number)) for number, each in enumerate(recorded)]
    queries = [each.query for each in recorded]
    answers = {
        name: _answers(options, drafts, level, prompts, name, console)
        for name, (drafts, level) in {**_PLAIN, **_COMPARED}.items()
    }
    (plain,) = (answers[name] for name in _PLAIN)
    agreements = [Agreement(name, len(queries), compare(queries, plain, answers[name])) for name in _COMPARED]
    document = {
        "schema": SCHEMA,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": asdict(this_machine()),
        "beside": next(iter(_PLAIN)),
        "near_tie": NEAR_TIE,
        "agreements": [
            {
                "run": each.run,
                "queries": each.queries,
                "same_tokens": each.share,
                "differences": [asdict(one) | {"is_near_tie": one.is_near_tie} for one in each.differences],
            }
            for each in agreements
        ],
    }
    write_whole(options.folder / "exactness.json", json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return agreements


def _answers(
    options: ExactnessOptions,
    drafts: int,
    level: int,
    prompts: Sequence[Mapping[str, Any]],
    name: str,
    console: Console,
) -> list[Answer]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    chosen = replace(options.engine, flags=("--engine.max_draft_rows", str(drafts)))
    answers: list[Answer] = []
    with ExitStack() as processes:
        (engine,) = open_engines((next(iter(OURS)),), chosen, options.folder, processes, {}, console)
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task(name, total=len(prompts))
            for start in range(0, len(prompts), _AT_ONCE):
                result = engine.run(
                    prompts[start : start + _AT_ONCE],
                    concurrency=level,
                    max_rewrites=MAX_REWRITES,
                    max_new_tokens=MAX_NEW_TOKENS,
                    logprobs=True,
                )
                answers += result.answers
                progress.advance(task, len(result.answers))
    return answers


def exactness_table(agreements: Sequence[Agreement]) -> Table:
    """Returns what a person reads on the console."""
    table = Table(title=f"Tokens beside those of {next(iter(_PLAIN))}")
    for name in ("run", "queries", "same tokens", "differences that are near ties"):
        table.add_column(name, justify="left" if name == "run" else "right")
    for each in agreements:
        ties = sum(difference.is_near_tie for difference in each.differences)
        table.add_row(each.run, str(each.queries), f"{each.share:.1%}", f"{ties} of {len(each.differences)}")
    return table


def _token(answer: Answer, position: int) -> tuple[int, float] | None:
    if position >= len(answer.token_ids):
        return None
    return answer.token_ids[position], answer.logprobs[position]
