"""The replay against the golden lists, which the plugin's tests read too, and the choice of a policy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from iterqr_benchmarks.tuning.fusion import FusionSettings, fuse
from iterqr_benchmarks.tuning.gather import Gathered, GatheredRewrite, save
from iterqr_benchmarks.tuning.policies import (
    EVEN,
    PolicyOptions,
    choose_rule,
    grid,
    measure_rule,
    named_rules,
    out_of_fold,
    run_policies,
)
from iterqr_proto.policy import Curve, Policy
from iterqr_training.evaluate.fusion import (
    FusionRule,
    RecordedRewrite,
    WindowHit,
    by_reciprocal_rank,
    fuse_windows,
    replay,
    seed_of,
    team_draft,
)
from rich.console import Console

LISTS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[3] / "proto/golden/fusion_v1/lists.json").read_text("utf-8")
)


def window(ids: str, scores: tuple[float, ...] = ()) -> tuple[WindowHit, ...]:
    """One hit a letter; letters are in order of their sequence numbers."""
    return tuple(WindowHit(letter, ord(letter), scores[rank] if scores else 1.0) for rank, letter in enumerate(ids))


def gathered(original: str, rewrite: str, relevant: str) -> Gathered:
    return Gathered(
        query=f"query {original}",
        kind="typo",
        relevant=frozenset(relevant),
        original=window(original),
        all_terms=0,
        rewrites=(GatheredRewrite("text", 0.5, window(rewrite)),),
        works=True,
        agrees=True,
    )


@pytest.mark.parametrize("golden", LISTS, ids=lambda golden: f"{golden['strategy']} {golden['list'][:4]}")
def test_lists_are_the_golden_ones(golden: dict[str, Any]) -> None:
    def hits(numbers: list[int]) -> list[WindowHit]:
        return [WindowHit(str(number), number) for number in numbers]

    rule = FusionRule(
        EVEN,
        golden["strategy"],
        original_weight=golden["original_weight"],
        rank_constant=golden["rank_constant"],
        append_below=golden["append_below"],
    )
    rewrites = [(each["weight"], hits(each["window"])) for each in golden["rewrites"]]
    seed = seed_of(golden["seed_text"])
    assert f"{seed:016x}" == golden["seed"]
    assert [hit.seq_no for hit in fuse_windows(rule, hits(golden["original"]), rewrites, seed=seed)] == golden["list"]
    if "teams" in golden:
        listed = by_reciprocal_rank(rewrites, golden["rank_constant"])
        assert [team for _, team in team_draft(hits(golden["original"]), listed, seed=seed)] == golden["teams"]


def test_an_even_replay_is_the_weights_fusion() -> None:
    rewrites = [window("bxa"), window("yb")]
    expected = fuse(window("abc"), rewrites, FusionSettings(1.0, 0.5, 60, 2))
    recorded = [RecordedRewrite(0.5, each) for each in rewrites]
    assert replay(FusionRule(EVEN, window_size=2), "q", window("abc"), recorded) == expected


def test_a_policy_leaves_rewrites_out() -> None:
    rule = FusionRule(Policy("near", overlap_factor=Curve(((0.0, 0.0), (0.5, 1.0)))))
    recorded = [RecordedRewrite(0.5, window("xy")), RecordedRewrite(0.5, window("az"))]
    assert set(replay(rule, "q", window("ab"), recorded)) == set("abz")
    assert replay(FusionRule(Policy("long", min_query_characters=5)), "q", window("ab"), recorded) == ["a", "b"]


def test_choosing_prefers_gain_without_harm() -> None:
    light, heavy, none = (FusionRule(EVEN, rewrite_weight=weight) for weight in (0.1, 1.0, 0.0))
    gains = [(heavy, [0.9, 0.9, -0.1, 0.0]), (light, [0.1, 0.1, 0.0, 0.0]), (none, [0.0] * 4)]
    assert choose_rule(gains) is light
    assert choose_rule([gains[0]]) is heavy
    # The odd queries see no harm in the heavy one; the even ones suffer it.
    assert out_of_fold(gains).harm_rate == 0.25


def test_the_grid_has_each_combination_once() -> None:
    rules = list(grid())
    assert len(rules) == len(set(rules)) > 500


def test_rules_are_measured_and_written(tmp_path: Path) -> None:
    queries = [gathered("abcdefghij", "jklmnopqrs", "abcde"), gathered("", "xy", "xy")]
    save(queries, tmp_path / "gathered.json")
    heavy = measure_rule("heavy", FusionRule(EVEN, rewrite_weight=5.0), queries, seed=1)
    assert (heavy.comparison.lift_rate, heavy.comparison.harm_rate, heavy.changed) == (0.5, 0.5, 1.0)
    run_policies(PolicyOptions(tmp_path / "gathered.json", tmp_path, seed=1), Console(quiet=True))
    document = json.loads((tmp_path / "policies.json").read_text())
    assert [each["name"] for each in document["policies"]][:-1] == [name for name, _ in named_rules()]
    assert document["out_of_fold"]["harm_rate"] == 0
