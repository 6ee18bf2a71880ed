"""The always-valid confidence sequence."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest
from iterqr_training.experiments.arms import split_arms
from iterqr_training.experiments.intervals import delta_test
from iterqr_training.experiments.metrics import ORDERS_PER_QUERY, ORDERS_PER_VISITOR, Metric
from iterqr_training.experiments.sequential import (
    ConfidenceSequence,
    Reading,
    confidence_sequence,
    daily_readings,
    mixture_variance,
    sequence_radius,
)
from iterqr_training.experiments.user_sums import Column
from support.experiment_worlds import draw_habit, draw_searches, make_users


def readings_of(seed: int, *, users: int = 300, days: int = 10, effect: float = 0.0) -> tuple[Reading, ...]:
    arms = split_arms(draw_searches(users, seed, days=days, effect=effect))
    return daily_readings(arms.searches["control"], arms.searches["treatment"])


def null_readings(seed: int) -> tuple[Reading, ...]:
    """Ten days without any effect: 200 users, each with habits, who come in and come back on any day."""
    generator = np.random.default_rng(seed)
    searches = generator.poisson(0.9, (200, 10))
    orders = generator.binomial(searches, np.clip(0.2 * draw_habit(200, generator), 0, 1)[:, np.newaxis])
    readings = []
    for days in range(1, 11):
        searched, ordered = searches[:, :days].sum(axis=1), orders[:, :days].sum(axis=1)
        arms = [
            make_users(ordered[arm::2][searched[arm::2] > 0], searched[arm::2][searched[arm::2] > 0]) for arm in (0, 1)
        ]
        readings.append(Reading(date(2026, 3, 1 + days), days, *arms))
    return tuple(readings)


@pytest.fixture(scope="module")
def null() -> list[tuple[Reading, ...]]:
    """Experiments in which there is nothing to find."""
    return [null_readings(seed) for seed in range(200)]


def test_the_radius_is_that_of_the_paper() -> None:
    # Theorem 2.2 with t = 100 observations of variance 4 and rho = 0.5 in units of the standard deviation.
    t, variance, rho = 100, 4.0, 0.5
    expected = math.sqrt(variance) * math.sqrt(
        2 * (t * rho**2 + 1) / (t**2 * rho**2) * math.log(math.sqrt(t * rho**2 + 1) / 0.05)
    )
    assert sequence_radius(t / variance, rho**2 * variance, alpha=0.05) == pytest.approx(expected)


def test_the_mixture_is_about_the_best_at_its_information() -> None:
    best = min(sequence_radius(50.0, mixture) for mixture in np.geomspace(1e-4, 10, 2000))
    assert sequence_radius(50.0, mixture_variance(50.0)) == pytest.approx(best, rel=0.01)


def test_brownian_motion_leaves_the_sequence_at_most_as_often_as_said() -> None:
    generator = np.random.default_rng(1)
    walks = generator.normal(size=(2_000, 400)).cumsum(axis=1)
    information = np.arange(1, 401)
    mixture = mixture_variance(100)
    radius = np.array([sequence_radius(float(each), mixture) for each in information])
    crossed = (np.abs(walks / information) > radius).any(axis=1).mean()
    assert crossed <= 0.05
    fixed = (np.abs(walks / information) > 1.96 / np.sqrt(information)).any(axis=1).mean()
    assert fixed > 0.3  # what daily reading of a plain interval does


def test_readings_hold_all_that_was_known_by_the_end_of_each_day() -> None:
    arms = split_arms(draw_searches(120, 1, days=4))
    readings = daily_readings(arms.searches["control"], arms.searches["treatment"])
    assert [(each.day, each.days) for each in readings] == [(date(2026, 3, day), day - 1) for day in range(2, 6)]
    searches = [each.control.total(Column.SEARCHES) for each in readings]
    assert searches == sorted(searches)
    assert searches[-1] == arms.searches["control"].num_rows
    first = arms.searches["control"]["timestamp"].to_pylist()
    assert searches[0] == sum(each.date() == date(2026, 3, 2) for each in first)


@pytest.mark.parametrize("metric", [ORDERS_PER_VISITOR, ORDERS_PER_QUERY], ids=lambda metric: metric.name)
def test_reading_every_day_finds_nothing_where_there_is_nothing(
    null: list[tuple[Reading, ...]], metric: Metric
) -> None:
    found = [confidence_sequence(each, metric) for each in null]
    assert sum(each.first_crossing is not None for each in found) / len(found) <= 0.05
    assert all(len(each.days) >= 7 for each in found)
    peeked = sum(
        any(delta_test(each.control, each.treatment, metric).p_value < 0.05 for each in readings) for readings in null
    )
    assert peeked / len(null) > 0.08  # what the same reading of plain tests does


def test_a_large_effect_is_found_and_its_day_told() -> None:
    found = confidence_sequence(readings_of(5, users=2_000, days=14, effect=0.5), ORDERS_PER_QUERY)
    assert found.first_crossing is not None
    assert found.days[-1].difference.low > 0
    assert found.first_crossing in [each.day for each in found.days]
    widths = [each.difference.width for each in found.days]
    assert widths[-1] < widths[0] / 2


def test_the_last_day_is_wider_than_a_plain_interval() -> None:
    readings = readings_of(6, users=1_000)
    last = confidence_sequence(readings, ORDERS_PER_QUERY).days[-1]
    plain = delta_test(readings[-1].control, readings[-1].treatment, ORDERS_PER_QUERY).difference
    assert last.difference.value == pytest.approx(plain.value)
    assert plain.width < last.difference.width < 2.5 * plain.width


def test_per_visitor_metrics_are_read_per_day() -> None:
    readings = readings_of(6, users=1_000)
    found = confidence_sequence(readings, ORDERS_PER_VISITOR)
    last = readings[-1]
    difference = delta_test(last.control, last.treatment, ORDERS_PER_VISITOR).difference.value
    assert found.daily
    assert found.days[-1].difference.value == pytest.approx(difference / 10)


def test_days_with_too_little_are_passed_over() -> None:
    found = confidence_sequence(readings_of(7, users=60), ORDERS_PER_QUERY)
    assert found == ConfidenceSequence(ORDERS_PER_QUERY, daily=False, days=(), first_crossing=None)
