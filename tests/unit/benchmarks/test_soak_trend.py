"""What a soak concludes from its samples and counts."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

import pytest
from iterqr_benchmarks.soak.checks import Counts, checks
from iterqr_benchmarks.soak.sampled import is_sampled
from iterqr_benchmarks.soak.sampling import MEASURES, Sample
from iterqr_benchmarks.soak.trend import trend

COUNTS = Counts(
    answered=1000,
    given_up=10,
    counted=1004,
    written=500,
    sampled_out=504,
    queued=0,
    dropped=0,
    refused=0,
    failed=0,
    in_index=500,
    distinct=500,
    strange=3,
    missing=0,
    unsampled=0,
    ubi_queries=500,
)
OUTCOMES = {"fused": 500, "expanded": 100, "shadow": 50, "timeout": 350}
IDLE = Sample(1800, 100, 10, 700, 80, 300, 0, 0)


def samples(growth_mib: float = 0.0, count: int = 60) -> list[Sample]:
    """Noisy ones whose heap grows by so much from the first to the last."""
    noise = random.Random(7)
    return [
        Sample(
            at_s=30.0 * number,
            heap_mib=100 + growth_mib * number / (count - 1) + noise.gauss(0, 1),
            direct_mib=10 + noise.gauss(0, 0.1),
            private_mib=700 + noise.gauss(0, 5),
            threads=80 + noise.choice((0, 0, 1)),
            file_handles=300 + noise.choice((-5, 0, 5)),
            search_contexts=noise.choice((0, 0, 1, 2)),
            search_tasks=noise.choice((0, 1, 2)),
        )
        for number in range(count)
    ]


def failed(
    found: list[Sample],
    counts: Counts = COUNTS,
    idle: Sample = IDLE,
    failures: tuple[str, ...] = (),
    outcomes: Mapping[str, int] = OUTCOMES,
) -> list[str]:
    return [check.name for check in checks(found, idle, outcomes, counts, failures) if not check.holds]


def test_a_series_that_rises_has_its_growth_and_a_small_p() -> None:
    found = trend([(float(x), 3.0 * x) for x in range(20)])
    assert found.growth == pytest.approx(57)
    assert found.p_value < 1e-6


@pytest.mark.parametrize("values", [[5.0] * 20, [float(-x) for x in range(20)], [1.0, 2.0] * 10, [1.0], []])
def test_a_series_that_does_not_rise_is_no_growth(values: list[float]) -> None:
    assert not trend(list(enumerate(values))).is_growth(0.0)


def test_single_outliers_mean_little() -> None:
    values = [100.0] * 30
    values[12] = values[28] = 10_000.0
    assert trend(list(enumerate(values))).growth == 0


def test_a_quiet_soak_passes() -> None:
    assert failed(samples()) == []


def test_a_leak_of_a_third_is_found() -> None:
    assert failed(samples(growth_mib=33)) == ["heap_mib does not grow"]


def test_growth_within_the_warm_up_is_none() -> None:
    warming = [replace(each, threads=40 if number < 15 else 80) for number, each in enumerate(samples())]
    assert failed(warming) == []


def test_threads_of_pools_that_still_fill_are_tolerated_in_a_short_soak_only() -> None:
    filling = [replace(each, threads=40 + number / 4) for number, each in enumerate(samples())]
    assert failed(filling) == ["threads does not grow"]
    assert failed([replace(each, at_s=each.at_s / 30) for each in filling]) == []


def test_a_soak_of_refusals_is_found() -> None:
    refused = {"fused": 30, "shadow": 19, "rejected": 51}
    assert failed(samples(), outcomes=refused) == ["of the searches at least 50% used rewrites"]
    short = [replace(each, at_s=each.at_s / 30) for each in samples()]
    assert failed(short, outcomes=refused) == []
    refused = {"fused": 15, "shadow": 9, "rejected": 76}
    assert failed(short, outcomes=refused) == ["of the searches at least 25% used rewrites"]


def test_what_is_left_when_idle_is_found() -> None:
    assert failed(samples(), idle=replace(IDLE, search_contexts=1)) == ["no search_contexts when idle"]


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"counted": 999, "sampled_out": 499}, "each search is counted once"),
        ({"counted": 1011, "sampled_out": 511}, "each search is counted once"),
        (
            {"written": 499, "in_index": 499, "distinct": 499, "ubi_queries": 499},
            "impressions written are the searches sampled",
        ),
        ({"in_index": 499, "distinct": 499, "ubi_queries": 499}, "impressions written are in the index"),
        ({"ubi_queries": 501}, "so is the UBI query of each"),
        ({"distinct": 499}, "each is of another search"),
        ({"strange": 11}, "each is of a search there was"),
        ({"missing": 1}, "no sampled search is missing and no other is there"),
        ({"unsampled": 1}, "no sampled search is missing and no other is there"),
        ({"dropped": 1}, "none waits, was dropped or refused"),
    ],
)
def test_counts_that_do_not_fit_are_found(changed: dict[str, int], name: str) -> None:
    assert failed(samples(), replace(COUNTS, **changed)) == [name]


def test_sampling_takes_the_share_and_who_is_in_stays_in() -> None:
    ids = [f"query-{number}" for number in range(2000)]
    half, most = ({each for each in ids if is_sampled(each, rate)} for rate in (0.5, 0.9))
    assert half < most
    assert len(half) == pytest.approx(1000, rel=0.1)
    assert not [each for each in ids if is_sampled(each, 0.0)]


def test_a_failure_is_told() -> None:
    assert failed(samples(), failures=("fuse: it broke",)) == ["no search failed"]


def test_every_measure_is_looked_at() -> None:
    told = {check.name for check in checks(samples(), IDLE, OUTCOMES, COUNTS, ())}
    assert {f"{measure} does not grow" for measure in MEASURES} <= told
