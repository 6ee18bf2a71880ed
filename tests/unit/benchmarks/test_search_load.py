"""The plan of a search load and the numbers made of its samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from iterqr_benchmarks.search_load.arms import CACHED, CONTROL, UNCACHED, all_arms
from iterqr_benchmarks.search_load.plan import CLIENTS, PLAIN, Arm, Phase, Plan, interleaved, read_plan, write_plan
from iterqr_benchmarks.search_load.report import SearchLoadReport, verdict
from iterqr_benchmarks.search_load.samples import (
    Numbers,
    PhaseSamples,
    Summary,
    phase_numbers,
    read_samples,
    summaries,
    write_samples,
)
from iterqr_training.machine import Machine


def samples(arm: str, *latencies_ms: float, number: int = 1, node_cpu_s: float = 0.02) -> PhaseSamples:
    phase = Phase(number, arm, "raw HTTP", 1, 2.0)
    return PhaseSamples(phase, latencies_ms, {"fused": len(latencies_ms)}, 2.0, node_cpu_s, 0.0, 0.01)


def arm(name: str, *, longer: float = 1.0) -> Arm:
    return Arm(name, "", {}, {}, fresh=False, outcomes=(), longer=longer)


def test_phases_of_an_arm_may_last_longer() -> None:
    phases = interleaved((arm("a"), arm("b", longer=8)), rounds=1, users=(1,), duration_s=2.0, warm_up_s=5.0)
    assert [(each.arm, each.duration_s) for each in phases if each.round] == [("a", 2.0), ("b", 16.0)] * 2


def test_each_round_has_every_arm_with_each_client_and_starts_with_another() -> None:
    phases = interleaved((arm("a"), arm("b"), arm("c")), rounds=2, users=(1, 8), duration_s=2.0, warm_up_s=5.0)
    assert [(each.round, each.arm, each.duration_s) for each in phases[:3]] == [
        (0, "a", 5.0),
        (0, "b", 5.0),
        (0, "c", 5.0),
    ]
    for number, order in ((1, "abc"), (2, "bca")):
        of_round = [each for each in phases if each.round == number]
        assert "".join(each.arm for each in of_round) == order * 4
        assert len({(each.client, each.users) for each in of_round}) == 4


def test_an_arm_is_compared_with_the_plain_searches_of_its_round() -> None:
    measured = [
        samples(PLAIN, 1, 1, 1, 1),
        samples(CACHED, 3, 3, node_cpu_s=0.03),
        samples(PLAIN, 10, 10, number=2),
        samples(CACHED, 11, 11, number=2),
        samples(PLAIN, 2, 2, number=3),
        samples(CACHED, 5, 5, number=3),
        samples(CACHED, 999, number=0),
    ]
    plain, cached = summaries(measured)
    assert (plain.arm, cached.arm) == (PLAIN, CACHED)
    assert list(plain.added_p50_ms) == [0, 0, 0]
    assert list(cached.added_p50_ms) == [2, 1, 3]
    assert list(cached.throughput_share) == [1, 0.5, 1]
    assert cached.searches == 6
    assert cached.outcomes == {"fused": 1.0}
    assert cached.numbers.p50_ms == 5
    assert cached.added_node_cpu_ms == pytest.approx(0)


def summary(name: str, added: tuple[float, float, float], share: tuple[float, float, float], fused: float) -> Summary:
    numbers = Numbers(1, 1, 1, 1, 1, 1, 1)
    return Summary(name, "raw HTTP", 1, 9, numbers, added, share, 0.0, {"fused": fused, "rejected": 1 - fused})


def told(*own: Summary) -> list[str]:
    cached = [replace(summary(CACHED, (1.0, 0.5, 2.0), (0.6, 0.5, 0.7), 1.0), client=client) for client in CLIENTS]
    machine = Machine("a", 2, 1.0, "c", "d")
    return verdict(SearchLoadReport("", machine, {}, {}, (*cached, *own), ()))[len(CLIENTS) :]


def test_control_is_indistinguishable_if_rounds_lie_on_both_sides_of_plain() -> None:
    (alike,) = told(summary(CONTROL, (0.05, -0.1, 0.2), (0.98, 0.9, 1.1), 0.0))
    assert "indistinguishable: reached" in alike
    (slower,) = told(summary(CONTROL, (0.1, 0.05, 0.2), (0.98, 0.9, 1.1), 0.0))
    assert "indistinguishable: missed" in slower
    (fewer,) = told(summary(CONTROL, (0.0, -0.1, 0.2), (0.9, 0.8, 0.95), 0.0))
    assert "indistinguishable: missed" in fewer


def test_new_queries_must_mostly_have_been_fused() -> None:
    assert "missed" in told(summary(UNCACHED, (0, 0, 0), (1, 1, 1), 0.1))[0]
    assert "reached" in told(summary(UNCACHED, (0, 0, 0), (1, 1, 1), 0.9))[0]


def test_numbers_of_a_phase() -> None:
    numbers = phase_numbers(samples(PLAIN, 1, 2, 3, 4))
    assert numbers.per_s == 2
    assert numbers.node_cpu_ms == pytest.approx(5)
    assert numbers.p50_ms == 2.5
    nothing = phase_numbers(samples(PLAIN))
    assert nothing.per_s == 0
    assert nothing.node_cpu_ms != nothing.node_cpu_ms


def test_plans_and_samples_are_read_as_written(tmp_path: Path) -> None:
    plan = Plan(
        url="http://127.0.0.1:9200", index="dishes", body={"size": 10}, node_pid=1, server_pid=None,
        arms=all_arms("127.0.0.1:1"),
        phases=interleaved((arm("a"),), rounds=1, users=(1,), duration_s=1.0, warm_up_s=1.0),
        queries=("soop",), words=(("a", "b"), ("c",)), seed=7,
    )  # fmt: skip
    write_plan(tmp_path / "plan", plan)
    assert read_plan(tmp_path / "plan") == plan
    phases = [samples(PLAIN, 1, 2), samples(CACHED)]
    write_samples(tmp_path / "samples", phases)
    assert read_samples(tmp_path / "samples") == phases
