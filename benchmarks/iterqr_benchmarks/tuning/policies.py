"""`iterqr-bench policies`: which policy and fusion harm least with some lift, replayed on recorded windows.

Nothing is searched: `iterqr-bench tune` records rewrites and windows once, every policy is computed from them. The
held-out queries are never read here.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from iterqr_proto.policy import Curve, Policy, default_policy
from iterqr_training.evaluate.fusion import FusionRule, RecordedRewrite, replay
from iterqr_training.evaluate.policy_fit import MAX_HARM_RATE, OVERLAPS, STRENGTHS
from iterqr_training.machine import this_machine
from rich.console import Console
from rich.table import Table

from iterqr_benchmarks.evaluation.comparison import DEEP_CUTOFF, Comparison, RankedPair, compare
from iterqr_benchmarks.evaluation.ranking import precision_at
from iterqr_benchmarks.progress import StepDisplay, step
from iterqr_benchmarks.report.json_file import plain_data, write_whole
from iterqr_benchmarks.tuning.gather import Gathered, load

EVEN = Policy("even")

_CONFIDENCES = (Curve(), Curve(((0.5, 0.0), (0.9, 1.0))))
_WEIGHTS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
_RANK_CONSTANTS = (5, 20, 60)


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """`gathered`: recorded by `iterqr-bench tune`. `folder`: for the result. `seed`: of the intervals."""

    gathered: Path
    folder: Path
    seed: int


@dataclass(frozen=True, slots=True)
class Measured:
    """A rule, what it does to the queries, and the share of queries whose first page it changes."""

    name: str
    rule: FusionRule
    comparison: Comparison
    changed: float


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """What choosing is worth: half of the queries choose, the other half is measured, and the other way round."""

    precision_gain: float
    lift_rate: float
    harm_rate: float


@dataclass(frozen=True, slots=True)
class _Gains:
    mean: float
    lift: float
    harm: float


def named_rules() -> list[tuple[str, FusionRule]]:
    """The rules of the table: how policy and strategy each change what the chosen weights do."""
    chosen = FusionRule(default_policy(), rewrite_weight=0.3, rank_constant=5)
    policy = chosen.policy
    return [
        ("literature: even, 0.5, 60", FusionRule(EVEN)),
        ("record 12: even, 0.2, 5", FusionRule(EVEN, rewrite_weight=0.2, rank_constant=5, window_size=100)),
        ("even", replace(chosen, policy=EVEN)),
        ("confidence only", replace(chosen, policy=Policy("confidence", confidence_factor=_CONFIDENCES[1]))),
        ("overlap only", replace(chosen, policy=Policy("overlap", overlap_factor=policy.overlap_factor))),
        ("strength only", replace(chosen, policy=Policy("strength", strength_factor=policy.strength_factor))),
        ("default", chosen),
        ("default, append", replace(chosen, strategy="append")),
        ("even, append", replace(chosen, policy=EVEN, strategy="append")),
        ("default, interleave", replace(chosen, strategy="interleave")),
        ("even, interleave", replace(chosen, policy=EVEN, strategy="interleave")),
    ]


def grid() -> Iterator[FusionRule]:
    """Every combination of factors and weights, reciprocal rank fusion; ids are empty of meaning."""
    for strength, overlap, confidence, weight, constant in itertools.product(
        STRENGTHS, OVERLAPS, _CONFIDENCES, _WEIGHTS, _RANK_CONSTANTS
    ):
        policy = Policy("grid", confidence_factor=confidence, strength_factor=strength, overlap_factor=overlap)
        yield FusionRule(policy, rewrite_weight=weight, rank_constant=constant)


def measure_rule(name: str, rule: FusionRule, gathered: Sequence[Gathered], *, seed: int) -> Measured:
    """Returns what a rule does to the queries beside plain search."""
    pairs, changed = [], 0
    for each in gathered:
        plain = [hit.object_id for hit in each.original]
        fused = _replayed(rule, each)
        changed += fused[:10] != plain[:10]
        pairs.append(RankedPair(each.kind, tuple(plain[:DEEP_CUTOFF]), tuple(fused[:DEEP_CUTOFF]), each.relevant))
    return Measured(name, rule, compare(pairs, seed=seed), changed / len(gathered))


def choose_rule(gains: Sequence[tuple[FusionRule, Sequence[float]]]) -> FusionRule:
    """Returns the rule with the highest mean gain among those that harm at most `MAX_HARM_RATE` of the queries.

    Of equal ones the one that harms least, then the lightest. If all harm more, the one that harms least.

    Args:
        gains: Rules with the change of precision@10 of each query.
    """
    summed = [(rule, _gains(each)) for rule, each in gains]
    allowed = [(rule, each) for rule, each in summed if each.harm <= MAX_HARM_RATE]
    if not allowed:
        return min(summed, key=lambda pair: pair[1].harm)[0]
    return min(allowed, key=lambda pair: (-round(pair[1].mean, 6), pair[1].harm, pair[0].rewrite_weight))[0]


def out_of_fold(gains: Sequence[tuple[FusionRule, Sequence[float]]]) -> OutOfFold:
    """Returns what the chosen rule does to queries that did not choose it."""
    queries = len(gains[0][1])
    by_rule = {id(rule): each for rule, each in gains}
    seen: list[float] = []
    for fold in (0, 1):
        choosing = [(rule, [each[i] for i in range(queries) if i % 2 == fold]) for rule, each in gains]
        measured = by_rule[id(choose_rule(choosing))]
        seen += [measured[i] for i in range(queries) if i % 2 != fold]
    gained = _gains(seen)
    return OutOfFold(gained.mean, gained.lift, gained.harm)


def run_policies(options: PolicyOptions, console: Console) -> None:
    """Measures, prints the table, writes policies.json.

    Raises:
        BenchmarkError: The recording cannot be read.
    """
    gathered = load(options.gathered)
    with StepDisplay(console) as steps, step(steps, "policies") as work:
        named = [measure_rule(name, rule, gathered, seed=options.seed) for name, rule in named_rules()]
        gains = [(rule, [_gain(rule, each) for each in gathered]) for rule in grid()]
        best = measure_rule("best of the grid", choose_rule(gains), gathered, seed=options.seed)
        unseen = out_of_fold(gains)
        work.result = f"{len(gains)} combinations on {len(gathered)} queries"
    _print(console, [*named, best], unseen)
    file = options.folder / "policies.json"
    write_whole(file, _document(gathered, [*named, best], unseen))
    console.print(f"{file}", style="cyan")


def _replayed(rule: FusionRule, gathered: Gathered) -> list[str]:
    rewrites = [RecordedRewrite(each.confidence, each.window) for each in gathered.rewrites]
    return replay(rule, gathered.query, gathered.original, rewrites)


def _gain(rule: FusionRule, gathered: Gathered) -> float:
    plain = [hit.object_id for hit in gathered.original]
    fused = _replayed(rule, gathered)
    return precision_at(10, fused, gathered.relevant) - precision_at(10, plain, gathered.relevant)


def _gains(each: Sequence[float]) -> _Gains:
    count = len(each)
    return _Gains(sum(each) / count, sum(gain > 0 for gain in each) / count, sum(gain < 0 for gain in each) / count)


def _print(console: Console, measured: Sequence[Measured], unseen: OutOfFold) -> None:
    table = Table(title="Policies", title_justify="left", box=None, header_style="dim")
    table.add_column("")
    for name in ("P@10", "change", "95% interval", "recall@50", "rose", "fell", "changed"):
        table.add_column(name, justify="right")
    for each in measured:
        compared = each.comparison
        gain = compared.precision_gain
        table.add_row(
            each.name,
            f"{compared.channel.precision_at_10:.3f}",
            f"{gain.mean:+.4f}",
            f"{gain.low:+.3f} to {gain.high:+.3f}",
            f"{compared.channel.recall_at_50:.3f}",
            f"{compared.lift_rate:.1%}",
            f"{compared.harm_rate:.1%}",
            f"{each.changed:.0%}",
        )
    console.print(table)
    console.print(
        f"chosen on one half, measured on the other: change {unseen.precision_gain:+.4f}, "
        f"rose {unseen.lift_rate:.1%}, fell {unseen.harm_rate:.1%}",
        highlight=False,
    )


def _document(gathered: Sequence[Gathered], measured: Sequence[Measured], unseen: OutOfFold) -> str:
    document: dict[str, Any] = {
        "schema": "iterqr-policies/v1",
        "machine": plain_data(this_machine()),
        "query_set": "tuning",
        "queries": len(gathered),
        "agrees_with_plugin": sum(each.agrees for each in gathered),
        "max_harm_rate": MAX_HARM_RATE,
        "policies": [plain_data(each) for each in measured],
        "out_of_fold": plain_data(unseen),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
