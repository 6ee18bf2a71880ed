"""Runs the engines in turns, so that what the machine does meanwhile hits all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from iterqr_benchmarks.engine_comparison.results import Measurement, add_counters, counter_rise
from iterqr_benchmarks.engine_comparison.worker_process import EngineProcess, RunResult

Prompts = Sequence[Mapping[str, Any]]


class Turns:
    """Engines that are loaded, measured in turns; each computes while the others wait idle."""

    def __init__(self, engines: Sequence[EngineProcess], *, max_rewrites: int, max_new_tokens: int) -> None:
        self._engines = engines
        self._limits = {"max_rewrites": max_rewrites, "max_new_tokens": max_new_tokens}
        self._counters: dict[str, Mapping[str, Any]] = {}

    def warm_up(self, prompt: Mapping[str, Any], on_engine: Callable[[str], None]) -> None:
        """Runs one prompt on each engine, not measured."""
        for engine in self._engines:
            on_engine(engine.name)
            self._run(engine, [prompt], 1)

    def single_stream(self, prompts: Prompts, round_number: int, on_run: Callable[[str], None]) -> list[Measurement]:
        """Runs each prompt alone; the engine that goes first changes with each prompt."""
        results: dict[str, list[tuple[RunResult, dict[str, Any]]]] = {engine.name: [] for engine in self._engines}
        for number, prompt in enumerate(prompts):
            for engine in rotated(self._engines, number + round_number):
                results[engine.name].append(self._run(engine, [prompt], 1))
                on_run(engine.name)
        return [
            Measurement(
                engine=name,
                concurrency=1,
                round=round_number,
                wall_s=sum(result.wall_s for result, _ in runs),
                answers=tuple(answer for result, _ in runs for answer in result.answers),
                stats=add_counters(stats for _, stats in runs),
            )
            for name, runs in results.items()
        ]

    def concurrent(
        self, prompts: Prompts, concurrency: int, round_number: int, on_run: Callable[[str], None]
    ) -> list[Measurement]:
        """Runs all prompts, `concurrency` at a time; the engine that goes first changes with each round."""
        measurements = []
        for engine in rotated(self._engines, round_number):
            result, stats = self._run(engine, prompts, concurrency)
            measurements.append(
                Measurement(engine.name, concurrency, round_number, result.wall_s, result.answers, stats)
            )
            on_run(engine.name)
        return measurements

    def _run(self, engine: EngineProcess, prompts: Prompts, concurrency: int) -> tuple[RunResult, dict[str, Any]]:
        result = engine.run(prompts, concurrency=concurrency, **self._limits, logprobs=False)
        rise = counter_rise(self._counters.get(engine.name, {}), result.stats)
        self._counters[engine.name] = result.stats
        return result, rise


def rotated(engines: Sequence[EngineProcess], by: int) -> list[EngineProcess]:
    """Returns the engines in turn, beginning with another one for each `by`."""
    start = by % len(engines) if engines else 0
    return [*engines[start:], *engines[:start]]
