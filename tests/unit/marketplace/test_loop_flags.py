"""What `iterqr-bench loop` asks of the commands: what is measured is what users were shown."""

from __future__ import annotations

from dataclasses import replace

from iterqr_benchmarks.marketplace.loop_command import command_flags
from iterqr_benchmarks.marketplace.loop_traffic import REWRITES_A_QUERY, learning_stack
from iterqr_benchmarks.stack.settings import StackSettings


def test_results_are_fused_as_on_the_stack() -> None:
    stack = StackSettings()
    stack = replace(stack, channel=replace(stack.channel, rewrite_weight=0.25, rank_constant=20))
    flags = command_flags(stack)["evaluate"]
    told = dict(zip(flags[::2], flags[1::2], strict=True))
    assert told == {"--max-rewrites": str(REWRITES_A_QUERY), "--rewrite-weight": "0.25", "--rank-constant": "20"}


def test_as_many_rewrites_are_shown_as_are_written_and_learned() -> None:
    stack = learning_stack(StackSettings())
    assert stack.channel.max_rewrites == stack.min_rewrites == REWRITES_A_QUERY
    flags = command_flags(stack)["dataset"]
    assert flags[flags.index("--max-rewrites") + 1] == str(REWRITES_A_QUERY)
    assert learning_stack(replace(StackSettings(), template="own.toml")).template == "own.toml"
