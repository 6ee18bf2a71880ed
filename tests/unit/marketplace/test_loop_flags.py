"""What `iterqr-bench loop` asks of the commands: what is measured is what users were shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from iterqr_benchmarks.main import main
from iterqr_benchmarks.marketplace import loop_command
from iterqr_benchmarks.marketplace.learning import POLICY, REWRITES_A_QUERY, command_flags, learning_stack
from iterqr_benchmarks.marketplace.loop_traffic import SimulatedTraffic, small_market
from iterqr_benchmarks.stack.settings import StackSettings
from iterqr_training.loop.settings import LoopSettings
from rich.console import Console


def test_results_are_fused_as_on_the_stack() -> None:
    stack = StackSettings()
    stack = replace(stack, channel=replace(stack.channel, rewrite_weight=0.25, rank_constant=20))
    flags = command_flags(stack)["evaluate"]
    told = dict(zip(flags[::2], flags[1::2], strict=True))
    fused = {"--rewrite-weight": "0.25", "--rank-constant": "20"}
    asked = {"--max-rewrites": str(REWRITES_A_QUERY), "--at-a-time": "8", "--timed": "50"}
    assert told == {**asked, "--policy": str(POLICY), "--max-harm-rate": "0.03", **fused}


def test_as_many_rewrites_are_shown_as_are_written_and_learned() -> None:
    stack = learning_stack(StackSettings())
    assert stack.channel.max_rewrites == stack.min_rewrites == REWRITES_A_QUERY
    flags = command_flags(stack)["dataset"]
    assert flags[flags.index("--max-rewrites") + 1] == str(REWRITES_A_QUERY)
    assert learning_stack(replace(StackSettings(), template="own.toml")).template == "own.toml"


def test_the_market_of_iterqr_train_is_that_of_iterqr_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[LoopSettings, SimulatedTraffic]] = []

    def learn(settings: LoopSettings, source: SimulatedTraffic, _console: Console) -> int:
        asked.append((settings, source))
        return 0

    monkeypatch.setattr(loop_command, "learn", learn)
    main(["loop", "--folder", str(tmp_path)])
    settings, source = asked[0]
    other = small_market(tmp_path / "other", Console(quiet=True))
    assert other.identity == source.identity
    assert other.flags == settings.flags
